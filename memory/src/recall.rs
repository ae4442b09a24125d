//! Reading what is known.

use std::sync::Arc;

use soloist_kernel::{
    id::EffectId,
    journal::{Journal, ProjectionKey, ReadError},
};

use crate::{fact::Fact, similar};

/// Table of the newest version of each fact, by subject and name.
pub(crate) const CURRENT: &str = "facts";
/// Table of every version, by subject, name and version.
pub(crate) const HISTORY: &str = "facts-history";
/// Table of what each effect asserted, so that a repeated effect finds it.
pub(crate) const BY_EFFECT: &str = "facts-by-effect";

/// Most facts one call returns.
pub const FACTS_MAX: usize = 1_000;

pub(crate) fn current_key(subject: &str, name: &str) -> ProjectionKey {
    ProjectionKey::new(CURRENT, format!("{subject}/{name}"))
}

pub(crate) fn history_key(subject: &str, name: &str, version: u32) -> ProjectionKey {
    ProjectionKey::new(HISTORY, format!("{subject}/{name}/{version:010}"))
}

pub(crate) fn effect_key(effect: &EffectId) -> ProjectionKey {
    ProjectionKey::new(BY_EFFECT, effect.to_string())
}

/// A reader of memory. Cloning it is cheap.
#[derive(Clone)]
pub struct Memory {
    journal: Arc<dyn Journal>,
}

impl Memory {
    /// Reads what `journal` holds.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal }
    }

    /// The newest version of a fact.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn fact(&self, subject: &str, name: &str) -> Result<Option<Fact>, ReadError> {
        self.read(&current_key(subject, name))
    }

    /// Everything known about `subject`, by name; at most [`FACTS_MAX`].
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn facts(&self, subject: &str) -> Result<Vec<Fact>, ReadError> {
        self.scan(CURRENT, &format!("{subject}/"))
    }

    /// The contacts whose name is most like `text`, with their similarity; at most `limit`, among the first [`FACTS_MAX`].
    ///
    /// # Errors
    ///
    /// [`ReadError`], or what the index says.
    pub fn contacts_like(&self, text: &str, limit: usize) -> Result<Vec<(Fact, f32)>, ReadError> {
        let facts = self.scan(CURRENT, "contact-")?;
        let names: Vec<Fact> = facts.into_iter().filter(|fact| fact.name == "name").collect();
        let failed = |problem: String| ReadError::Store(format!("the similarity index: {problem}"));
        let mut index = similar::index().map_err(failed)?;
        for fact in &names {
            index.add(&similar::embed(fact.value.as_str())).map_err(failed)?;
        }
        let found = index.search(&similar::embed(text), limit).map_err(failed)?;
        // At or below zero two texts have nothing in common but chance.
        let alike = found.into_iter().filter(|(_, likeness)| *likeness > 0.0);
        Ok(alike.map(|(slot, likeness)| (names[slot].clone(), likeness)).collect())
    }

    /// Every version of a fact, oldest first; at most [`FACTS_MAX`].
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn history(&self, subject: &str, name: &str) -> Result<Vec<Fact>, ReadError> {
        self.scan(HISTORY, &format!("{subject}/{name}/"))
    }

    /// What `effect` asserted, if it has.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn asserted_by(&self, effect: &EffectId) -> Result<Option<Fact>, ReadError> {
        self.read(&effect_key(effect))
    }

    fn read(&self, key: &ProjectionKey) -> Result<Option<Fact>, ReadError> {
        Ok(self.journal.projection(key)?.and_then(|bytes| Fact::from_bytes(&bytes)))
    }

    fn scan(&self, table: &'static str, prefix: &str) -> Result<Vec<Fact>, ReadError> {
        let found = self.journal.projections(table, prefix, "", FACTS_MAX)?;
        Ok(found.iter().filter_map(|(_, bytes)| Fact::from_bytes(bytes)).collect())
    }
}
