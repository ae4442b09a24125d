//! Labels: where a value comes from, how far it is trusted, who may read it, and what it says about people.
//!
//! Every value that a run holds carries its labels: [`Labeled`] is the only carrier. When values combine, their labels join,
//! and joining only ever makes a label stricter: the least trusted integrity, the readers that all allow, every origin,
//! every class of personal data. A value without labels is untrusted and for the owner alone. So text that came from
//! outside can change what an agent proposes, and policy still sees that it came from outside.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// Most entries in each set of a label. What is joined beyond it loses detail on the strict side: no more readers, and the
/// origin `many`.
pub const LABEL_ENTRIES_MAX: usize = 64;

/// How far a value is trusted, most trusted first: joining takes the greater.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// The owner wrote it, or a definition or policy of the owner's says it.
    Owner,
    /// It came from outside, and these rules or approvals vouch for it.
    Vetted(BTreeSet<String>),
    /// It came from outside.
    #[default]
    Untrusted,
}

/// Who may read a value, besides the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readers {
    /// Everyone.
    Anyone,
    /// These, as their systems name them (an address, an account); none of them: the owner alone.
    Only(BTreeSet<String>),
}

impl Default for Readers {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// A class of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pii {
    /// A person's name.
    Name,
    /// A mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A postal address.
    Address,
    /// An account number (IBAN).
    Iban,
    /// A payment card's number.
    Card,
    /// A tax or social security number.
    TaxId,
    /// A password, a token, a key.
    Secret,
}

/// What is known about a value. The default is the strictest: untrusted, and for the owner alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// How far it is trusted.
    pub integrity: Integrity,
    /// Who may read it.
    pub readers: Readers,
    /// Where it comes from: `mail`, `agent:draft`, `workflow:outreach@2`.
    pub origin: BTreeSet<String>,
    /// What it says about people.
    pub pii: BTreeSet<Pii>,
}

impl Labels {
    /// The labels of what the owner says: trusted, for the owner alone.
    #[must_use]
    pub fn owner() -> Self {
        Self { integrity: Integrity::Owner, ..Self::default() }.from_origin("owner")
    }

    /// The labels of what a definition says literally: trusted, and nothing that only the owner may read.
    #[must_use]
    pub fn literal() -> Self {
        Self { integrity: Integrity::Owner, readers: Readers::Anyone, ..Self::default() }
    }

    /// The labels of what came from `origin` outside.
    #[must_use]
    pub fn untrusted(origin: impl Into<String>) -> Self {
        Self::default().from_origin(origin)
    }

    /// The same, with one more origin.
    #[must_use]
    pub fn from_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin.insert(origin.into());
        self
    }

    /// The same, with classes of personal data.
    #[must_use]
    pub fn with_pii(mut self, classes: impl IntoIterator<Item = Pii>) -> Self {
        self.pii.extend(classes);
        self
    }

    /// The same, readable for `readers` as well.
    #[must_use]
    pub fn readable_by(mut self, readers: impl IntoIterator<Item = String>) -> Self {
        if let Readers::Only(only) = &mut self.readers {
            only.extend(readers);
        }
        self
    }

    /// The same, for no more than `readers`.
    #[must_use]
    pub fn only_for(self, readers: BTreeSet<String>) -> Self {
        let readers = Readers::Only(readers);
        let bound = Self { integrity: Integrity::Owner, readers, ..Self::literal() };
        self.join(&bound)
    }

    /// The labels of a value made of one with these and one with `other`.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let integrity = match (&self.integrity, &other.integrity) {
            (Integrity::Vetted(a), Integrity::Vetted(b)) => {
                Integrity::Vetted(a.union(b).cloned().collect())
            }
            (a, b) => a.max(b).clone(),
        };
        let readers = match (&self.readers, &other.readers) {
            (Readers::Anyone, readers) | (readers, Readers::Anyone) => readers.clone(),
            (Readers::Only(a), Readers::Only(b)) => {
                Readers::Only(a.intersection(b).cloned().collect())
            }
        };
        let mut origin: BTreeSet<String> = self.origin.union(&other.origin).cloned().collect();
        if origin.len() > LABEL_ENTRIES_MAX {
            origin = BTreeSet::from(["many".into()]);
        }
        Self { integrity, readers, origin, pii: self.pii.union(&other.pii).copied().collect() }
    }

    /// The labels of what `all` combine to; of nothing: those of a literal.
    #[must_use]
    pub fn join_all<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Self::literal() };
        all.fold(first.clone(), |joined, labels| joined.join(labels))
    }

    /// Whether `reader` may read it.
    #[must_use]
    pub fn is_readable_by(&self, reader: &str) -> bool {
        match &self.readers {
            Readers::Anyone => true,
            Readers::Only(only) => only.iter().any(|known| known.eq_ignore_ascii_case(reader)),
        }
    }

    /// The same, vouched for by `rule`: what was untrusted becomes vetted.
    #[must_use]
    pub fn vetted(mut self, rule: impl Into<String>) -> Self {
        match &mut self.integrity {
            Integrity::Owner => {}
            Integrity::Vetted(rules) => {
                rules.insert(rule.into());
            }
            Integrity::Untrusted => {
                self.integrity = Integrity::Vetted(BTreeSet::from([rule.into()]));
            }
        }
        self
    }
}

impl Integrity {
    /// In a word: `owner`, `vetted` or `untrusted`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Vetted(_) => "vetted",
            Self::Untrusted => "untrusted",
        }
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A value with its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labeled<T> {
    /// The value.
    pub value: T,
    /// Its labels.
    pub labels: Labels,
}

impl<T> Labeled<T> {
    /// `value` with `labels`.
    #[must_use]
    pub fn new(value: T, labels: Labels) -> Self {
        Self { value, labels }
    }

    /// What the owner says.
    #[must_use]
    pub fn owner(value: T) -> Self {
        Self::new(value, Labels::owner())
    }

    /// What `f` makes of the value; the labels stay.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Labeled<U> {
        Labeled { value: f(self.value), labels: self.labels }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_labels() -> impl Strategy<Value = Labels> {
        let names = || proptest::collection::btree_set("[a-d]", 0..4);
        let integrity = prop_oneof![
            Just(Integrity::Owner),
            names().prop_map(Integrity::Vetted),
            Just(Integrity::Untrusted)
        ];
        let readers = prop_oneof![Just(Readers::Anyone), names().prop_map(Readers::Only)];
        (integrity, readers, names(), any::<bool>()).prop_map(
            |(integrity, readers, origin, email)| {
                let pii = email.then_some(Pii::Email).into_iter().collect();
                Labels { integrity, readers, origin, pii }
            },
        )
    }

    fn rank(labels: &Labels) -> usize {
        ["owner", "vetted", "untrusted"]
            .iter()
            .position(|word| *word == labels.integrity.word())
            .unwrap()
    }

    proptest! {
        /// Joining is a join of a lattice, so the order in which values combine does not matter.
        #[test]
        fn joining_is_associative_commutative_and_idempotent(
            a in any_labels(), b in any_labels(), c in any_labels()
        ) {
            prop_assert_eq!(a.join(&a), a.clone());
            prop_assert_eq!(a.join(&b), b.join(&a));
            prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        }

        #[test]
        fn joining_never_loosens(a in any_labels(), b in any_labels(), reader in "[a-d]") {
            let joined = a.join(&b);
            prop_assert!(rank(&joined) >= rank(&a));
            prop_assert!(!joined.is_readable_by(&reader) || (a.is_readable_by(&reader) && b.is_readable_by(&reader)));
            prop_assert!(joined.pii.is_superset(&a.pii) && joined.origin.is_superset(&a.origin));
        }
    }

    #[test]
    fn what_has_no_labels_is_untrusted_and_for_the_owner_alone() {
        let labels = Labels::default();
        assert_eq!(labels.integrity, Integrity::Untrusted);
        assert!(!labels.is_readable_by("anyone@x.example"));
    }

    #[test]
    fn vetting_needs_a_rule_and_leaves_the_origin() {
        let labels = Labels::untrusted("mail").vetted("known-recipient");
        assert_eq!(labels.integrity.word(), "vetted");
        assert_eq!(labels.origin, BTreeSet::from(["mail".to_owned()]));
        assert_eq!(labels.join(&Labels::untrusted("web")).integrity, Integrity::Untrusted);
    }
}
