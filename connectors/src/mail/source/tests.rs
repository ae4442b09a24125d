//! Tests of which files are new, and of those that cannot be read.

use std::{collections::BTreeSet, fs, time::SystemTime};

use tempfile::TempDir;

use super::*;

const MAIL: &str = "From: a@b.example\nSubject: hello\n\ntext";

/// Long after the files of the tests were written, so that their time stamps are trusted.
const LATER: Timestamp = Timestamp(4_000_000_000_000);

struct Inbox {
    folder: TempDir,
    source: MailSource,
    seen: BTreeSet<String>,
}

impl Inbox {
    fn eml() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = MailSourceConfig { bytes_max: 1000, ..MailSourceConfig::new(folder.path()) };
        Self { source: MailSource::new(config), folder, seen: BTreeSet::new() }
    }

    fn maildir() -> Self {
        let inbox = Self::eml();
        for folder in ["new", "cur", "tmp"] {
            fs::create_dir(inbox.path(folder)).unwrap();
        }
        inbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn page(&self, limit: usize) -> Page {
        self.source.pull(LATER, &|identity| self.seen.contains(identity), limit).unwrap()
    }

    /// The identities of what is new, which is then seen.
    fn pull(&mut self) -> Vec<String> {
        let page = self.page(100);
        let new: Vec<String> = page.changes.into_iter().map(|change| change.identity).collect();
        self.seen.extend(new.iter().cloned());
        new
    }

    /// The one new mail's identity and the reason why it is quarantined.
    #[track_caller]
    fn quarantined(&self) -> (String, String) {
        let page = self.page(100);
        let [change] = &page.changes[..] else { panic!("{page:?}") };
        let Observed::Quarantined { reason } = &change.observed else { panic!("{page:?}") };
        (change.identity.clone(), reason.clone())
    }
}

#[test]
fn an_eml_file_fires_once_and_again_when_it_is_edited() {
    let mut inbox = Inbox::eml();
    inbox.write("b.eml", MAIL);
    inbox.write("a.eml", MAIL);
    inbox.write(".hidden.eml", MAIL);
    inbox.write("note.txt", MAIL);
    let new = inbox.pull();
    assert!(
        new[0].starts_with("a.eml@") && new[1].starts_with("b.eml@") && new.len() == 2,
        "{new:?}"
    );
    assert_eq!(inbox.pull(), [""; 0]);
    inbox.write("b.eml", format!("{MAIL} edited"));
    let edited = inbox.pull();
    assert!(edited.len() == 1 && edited[0].starts_with("b.eml@") && edited[0] != new[1]);
    assert_eq!(inbox.pull(), [""; 0]);
}

#[test]
fn an_edit_within_one_tick_of_the_clock_is_noticed() {
    let mut inbox = Inbox::eml();
    inbox.write("a.eml", MAIL);
    let path = inbox.path("a.eml");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let at = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let pull = |inbox: &Inbox| {
        inbox.source.pull(Timestamp(at), &|identity| inbox.seen.contains(identity), 9).unwrap()
    };
    let first = pull(&inbox).changes.remove(0);
    inbox.seen.insert(first.identity);
    inbox.write("a.eml", MAIL.replace("text", "next"));
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(pull(&inbox).changes.len(), 1);
}

#[test]
fn a_page_holds_no_more_than_the_limit_and_says_whether_there_is_more() {
    let mut inbox = Inbox::eml();
    for name in ["a.eml", "b.eml", "c.eml"] {
        inbox.write(name, MAIL);
    }
    let page = inbox.page(2);
    assert_eq!((page.changes.len(), page.more), (2, true));
    inbox.seen.extend(page.changes.into_iter().map(|change| change.identity));
    let rest = inbox.page(2);
    assert_eq!((rest.changes.len(), rest.more), (1, false));
}

#[test]
fn a_change_of_flags_is_not_a_new_mail() {
    let mut inbox = Inbox::maildir();
    inbox.write("tmp/9.half", MAIL);
    inbox.write("new/2.host", MAIL);
    inbox.write("cur/1.host:2,S", MAIL);
    assert_eq!(inbox.pull(), ["1.host", "2.host"]);
    fs::rename(inbox.path("new/2.host"), inbox.path("cur/2.host:2,RS")).unwrap();
    assert_eq!(inbox.pull(), [""; 0]);
    inbox.write("new/3.host", MAIL);
    assert_eq!(inbox.pull(), ["3.host"]);
}

#[test]
fn a_mail_is_read_as_a_record_that_names_its_change() {
    let inbox = Inbox::maildir();
    inbox.write("new/1.host", MAIL);
    let change = inbox.page(1).changes.remove(0);
    let Observed::Record(payload) = change.observed else { panic!("{change:?}") };
    let mail: Mail = payload.value.parse().unwrap();
    assert_eq!((mail.identity.as_str(), mail.subject.as_str()), ("1.host", "hello"));
}

#[test]
fn a_mail_is_untrusted_and_for_those_it_went_between() {
    let inbox = Inbox::maildir();
    let mail = "From: Mara <Mara@bakery.example>\nReply-To: eve@elsewhere.example\nTo: a@b.example, c@d.example\n\ntext";
    inbox.write("new/1.host", mail);
    let change = inbox.page(1).changes.remove(0);
    let Observed::Record(Labeled { labels, .. }) = change.observed else { panic!("{change:?}") };
    assert_eq!(labels.integrity.word(), "untrusted");
    assert_eq!(labels.origin, BTreeSet::from(["mail".to_owned()]));
    for reader in ["mara@bakery.example", "a@b.example", "c@d.example"] {
        assert!(labels.is_readable_by(reader), "{reader}");
    }
    assert!(!labels.is_readable_by("eve@elsewhere.example"));
    assert_eq!(labels.pii, BTreeSet::from([Pii::Name, Pii::Email]));
}

#[test]
fn a_mail_over_the_limit_is_quarantined_unread_and_read_once_the_limit_is_raised() {
    let mut inbox = Inbox::eml();
    File::create(inbox.path("big.eml")).unwrap().set_len(40 << 30).unwrap();
    let (identity, reason) = inbox.quarantined();
    assert_eq!(identity, format!("big.eml@size-{}", 40_u64 << 30));
    for expected in ["42949672960 bytes", "limit is 1000", "`mail.bytes_max`", "untouched"] {
        assert!(reason.contains(expected), "{reason}");
    }
    inbox.pull();
    inbox.write("big.eml", MAIL);
    assert_eq!(inbox.pull().len(), 1);
}

#[test]
fn what_is_not_a_mail_is_quarantined_with_its_reason() {
    for (content, expected) in [(&b""[..], "empty"), (b"\x00\xff\xfe garbage", "")] {
        let inbox = Inbox::eml();
        inbox.write("x.eml", content);
        let (identity, reason) = inbox.quarantined();
        assert!(identity.starts_with("x.eml@") && reason.contains(expected), "{reason}");
    }
    let inbox = Inbox::eml();
    fs::create_dir(inbox.path("x.eml")).unwrap();
    assert_eq!(inbox.quarantined().0, "x.eml@not-a-file");
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_is_quarantined() {
    let inbox = Inbox::eml();
    std::os::unix::fs::symlink(inbox.path("a.eml"), inbox.path("a.eml")).unwrap();
    assert_eq!(inbox.quarantined().0, "a.eml@unreadable");
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_quarantined_and_read_once_it_is_mended() {
    use std::os::unix::fs::PermissionsExt;
    let mut inbox = Inbox::eml();
    inbox.write("a.eml", MAIL);
    let path = inbox.path("a.eml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        return; // The superuser may read everything.
    }
    assert_eq!(inbox.pull(), ["a.eml@unreadable"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(inbox.pull().len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_stay_apart() {
    use std::os::unix::ffi::OsStrExt;
    let mut inbox = Inbox::maildir();
    for name in [&b"1.\xff"[..], b"1.\xfe"] {
        let path = inbox.path("new").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, MAIL).unwrap();
    }
    assert_eq!(inbox.pull().len(), 2);
    assert_eq!(inbox.pull().len(), 0);
}

#[test]
fn a_file_that_vanishes_is_skipped() {
    let inbox = Inbox::eml();
    let found = Found { path: inbox.path("gone.eml"), name: "gone.eml".to_owned() };
    assert_eq!(inbox.source.eml_change(&found, LATER, &|_| false), None);
}

#[test]
fn a_missing_folder_is_a_fault_that_names_it() {
    let source = MailSource::new(MailSourceConfig::new("no/such/folder"));
    let fault = source.pull(LATER, &|_| false, 1).unwrap_err();
    assert!(fault.message.contains("no/such/folder"), "{fault}");
}
