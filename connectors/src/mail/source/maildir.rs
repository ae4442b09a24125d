//! Lists a Maildir: a mail is known by its unique name, whatever its flags are.

use std::{collections::BTreeMap, io, path::Path};

use super::{Found, text_of};

/// The mails in `new` and `cur`, in the order of their names, which begin with the time of delivery.
///
/// `new` is listed first: a mail that is moved in between is then found in both rather than in neither, and counts once.
pub(super) fn list(root: &Path) -> io::Result<Vec<Found>> {
    let mut mails = BTreeMap::new();
    for folder in ["new", "cur"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = text_of(&entry.file_name());
            if name.starts_with('.') {
                continue;
            }
            // What follows the colon is flags, which change as the mail is read and answered.
            let unique = name.split_once(":2,").map_or(name.as_str(), |(unique, _)| unique);
            mails.insert(unique.to_owned(), entry.path());
        }
    }
    Ok(mails.into_iter().map(|(name, path)| Found { path, name }).collect())
}
