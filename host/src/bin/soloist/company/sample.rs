//! The mails that come with soloist, so that the first command shows something.

use std::path::{Path, PathBuf};

use crate::report::{Exit, Failure};

macro_rules! mails {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../sample/mail/", $name)))),*]
    };
}

const MAILS: [(&str, &str); 12] = mails![
    "01-quote-request.eml",
    "02-invoice-question.eml",
    "03-reschedule.eml",
    "04-newsletter.eml",
    "05-out-of-office.eml",
    "06-bounce.eml",
    "07-receipt-noreply.eml",
    "08-follow-up.eml",
    "09-press-inquiry.eml",
    "10-injection.eml",
    "11-german-inquiry.eml",
    "12-no-sender.eml",
];

/// The contact of the sample that may be written to without asking.
pub(crate) const CONTACT: &str = "accounts@northlight.example";

/// Writes the sample into the data directory, unless it is there, and gives its folder.
pub(crate) fn folder(data: &Path) -> Result<PathBuf, Failure> {
    let folder = data.join("sample-mail");
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("failed to write the sample mail to {}: {error}", folder.display()),
        )
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for (name, text) in MAILS {
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(path, text).map_err(failed)?;
        }
    }
    Ok(folder)
}

/// The text of the mail `name`.
pub(super) fn mail(name: &str) -> Option<&'static str> {
    MAILS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
