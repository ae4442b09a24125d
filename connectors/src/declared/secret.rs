//! Secrets, and the credential that is made of one.
//!
//! The rule: **a secret is in what leaves, and nowhere else**. A declaration names where it is kept, not what it is; it is read
//! when it is first used; and what comes back is rid of it, in case the other side repeats it.

use std::{
    fmt, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use soloist_kernel::fault::{Fault, FaultClass, Phase};
use url::form_urlencoded::byte_serialize;

use super::fields::Fields;
use crate::http::{HeaderName, Request, header};

/// What stands where a secret was.
const HIDDEN: &str = "(hidden)";

/// A secret, by where it is kept.
pub(super) struct Secret {
    place: Place,
    value: OnceLock<String>,
}

enum Place {
    /// An environment variable.
    Environment(String),
    /// A file that nobody else may read.
    File(PathBuf),
}

impl Secret {
    /// Reads `env` or `file` of `fields`. A file is beside `file_name`, unless its path begins at the root.
    fn read(fields: &mut Fields<'_>, file_name: &str) -> Option<Self> {
        let place = match fields.only(&["env", "file"])? {
            "env" => Place::Environment(fields.text("env")?),
            _ => {
                let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
                Place::File(folder.join(fields.text("file")?))
            }
        };
        Some(Self { place, value: OnceLock::new() })
    }

    /// The secret itself.
    fn reveal(&self) -> Result<&str, Fault> {
        if let Some(known) = self.value.get() {
            return Ok(known);
        }
        let found = self.place.look().map(|text| text.trim().to_owned());
        let found = found.and_then(|text| match text.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(text),
        });
        let found = found.map_err(|problem| {
            let message = format!("there is no secret in {}: {problem}", self.place);
            Fault::new(FaultClass::Auth, Phase::NotSent, message)
        })?;
        Ok(self.value.get_or_init(|| found))
    }
}

impl Place {
    fn look(&self) -> Result<String, String> {
        match self {
            Self::Environment(name) => environment(name),
            Self::File(path) => file(path).map_err(|error| error.to_string()),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the declaration, which is configuration, says which variable holds the secret"
)]
fn environment(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| "set it to the secret".to_owned())
}

fn file(path: &Path) -> io::Result<String> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!("its mode is {mode:04o}, so that others may read it; make it 0600");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    std::fs::read_to_string(path)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// Where it is kept, and not what it is.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.place)
    }
}

/// How a request says who it is from.
#[derive(Debug)]
pub(super) struct Credential {
    secret: Secret,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header of its own.
    Header(HeaderName),
    /// `Authorization: Basic …`, as this user.
    Basic(String),
    /// A parameter of the query.
    Query(String),
}

impl Credential {
    pub(super) fn read(mut fields: Fields<'_>, file_name: &str) -> Option<Self> {
        let which = fields.only(&["bearer", "header", "basic", "query"])?;
        let mut of = fields.table(which)?;
        let form = match which {
            "bearer" => Some(Form::Bearer),
            "basic" => of.required("user", "write the user's name").map(Form::Basic),
            "query" => of.required("name", "write the parameter's name").map(Form::Query),
            _ => {
                let name = of.required("name", "write the header's name");
                let name = name.map(|name| name.parse::<HeaderName>());
                let name = name.and_then(|name| of.accept("name", name, "write a header's name"));
                name.map(Form::Header)
            }
        };
        let secret = Secret::read(&mut of, file_name);
        of.finish();
        fields.finish();
        Some(Self { secret: secret?, form: form? })
    }

    /// Who the other side takes us for, as far as that can be said.
    pub(super) fn name(&self) -> String {
        match &self.secret.place {
            Place::Environment(name) => format!("env:{name}"),
            Place::File(path) => format!("file:{}", path.display()),
        }
    }

    /// The header that it takes, which the declaration must not say otherwise.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        match &self.form {
            Form::Bearer | Form::Basic(_) => Some(&header::AUTHORIZATION),
            Form::Header(name) => Some(name),
            Form::Query(_) => None,
        }
    }

    /// `request` with the credential.
    pub(super) fn sign(&self, mut request: Request) -> Result<Request, Fault> {
        let secret = self.secret.reveal()?;
        let (name, value) = match &self.form {
            Form::Query(name) => {
                request.url.query_pairs_mut().append_pair(name, secret);
                return Ok(request);
            }
            Form::Bearer => (header::AUTHORIZATION, format!("Bearer {secret}")),
            Form::Basic(user) => (header::AUTHORIZATION, format!("Basic {}", basic(user, secret))),
            Form::Header(name) => (name.clone(), secret.to_owned()),
        };
        request.secret(name, &value).map_err(|_| {
            let message = format!("{} holds what a header cannot", self.secret.place);
            Fault::new(FaultClass::Auth, Phase::NotSent, message)
        })
    }

    /// `text` without the secret, in whatever form it was sent.
    pub(super) fn hide(&self, text: &str) -> String {
        let Some(secret) = self.secret.value.get() else { return text.to_owned() };
        let sent = match &self.form {
            Form::Basic(user) => basic(user, secret),
            Form::Bearer | Form::Header(_) | Form::Query(_) => {
                byte_serialize(secret.as_bytes()).collect()
            }
        };
        text.replace(&sent, HIDDEN).replace(secret, HIDDEN)
    }
}

fn basic(user: &str, secret: &str) -> String {
    STANDARD.encode(format!("{user}:{secret}"))
}
