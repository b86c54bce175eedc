//! The secrets of a client, as `docker buildx build --secret` takes them. Owns where their values come from; does not
//! know whom they are sent to. No value is ever printed: the types have no form that shows one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::diagnostic::quoted;

/// One `--secret`: an id, and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretOption {
    id: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The variable of that name, or else the file of that path.
    Either(String),
    File(PathBuf),
    Variable(String),
}

impl FromStr for SecretOption {
    type Err = String;

    /// `id=ID`, `id=ID,src=FILE`, `id=ID,env=VARIABLE`, with `type=file` or `type=env`, as buildx takes it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut id, mut kind, mut file, mut variable) = (None, None, None, None);
        for field in text.split(',') {
            let (key, value) =
                field.split_once('=').ok_or("a secret is written as `id=ID,src=FILE` or `id=ID,env=VARIABLE`")?;
            match key.to_ascii_lowercase().as_str() {
                "id" => id = Some(value.to_owned()),
                "type" if matches!(value, "file" | "env") => kind = Some(value),
                "type" => return Err(format!("{} is not a type of secret: write `file` or `env`", quoted(value))),
                "src" | "source" => file = Some(value),
                "env" => variable = Some(value),
                _ => {
                    return Err(format!(
                        "{} is not a field of a secret: the fields are `id`, `src`, `env` and `type`",
                        quoted(key)
                    ));
                }
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or("a secret needs an id: `id=ID,src=FILE`")?;
        if kind == Some("env") && variable.is_none() {
            variable = file.take();
        }
        let place = match (file, variable) {
            (Some(_), Some(_)) => return Err("a secret comes from a file or from a variable, not from both".into()),
            (Some(file), None) => Place::File(file.into()),
            (None, Some(variable)) => Place::Variable(variable.to_owned()),
            (None, None) => Place::Either(id.clone()),
        };
        Ok(Self { id, place })
    }
}

impl SecretOption {
    /// The value. The error is a sentence, without it.
    fn read(&self) -> Result<Vec<u8>, String> {
        let variable = |name: &str| std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec);
        let file = |path: &PathBuf| {
            let unreadable =
                |error| format!("the secret `{}` cannot be read from {}: {error}", self.id, path.display());
            std::fs::read(path).map_err(unreadable)
        };
        match &self.place {
            Place::File(path) => file(path),
            // As BuildKit's client: a variable that is not set is empty.
            Place::Variable(name) => Ok(variable(name).unwrap_or_default()),
            Place::Either(name) => variable(name).map_or_else(|| file(&name.into()), Ok),
        }
    }
}

/// Secrets by their ids.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Vec<u8>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Reads them. The error is a sentence.
    pub fn read(options: &[SecretOption]) -> Result<Self, String> {
        options.iter().map(|option| Ok((option.id.clone(), option.read()?))).collect::<Result<_, _>>().map(Self)
    }

    /// The value of a secret, which must be text that a header may have; `None` if there is no secret with that id. The error
    /// is a sentence.
    pub fn header(&self, id: &str) -> Result<Option<&str>, String> {
        let Some(value) = self.0.get(id) else { return Ok(None) };
        let text = std::str::from_utf8(value).ok().filter(|text| !text.contains(|c: char| c.is_control() && c != '\t'));
        text.map(Some).ok_or_else(|| unfit(Some(id)))
    }
}

/// The message for a secret that cannot be sent: most often its file ends with a line break.
pub fn unfit(id: Option<&str>) -> String {
    let which = id.map_or_else(|| "the secret".to_owned(), |id| format!("the secret `{id}`"));
    format!(
        "{which} contains a line break, or another character that a header cannot contain: write it with `printf`, not `echo`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_no_values() {
        let secrets = Secrets(BTreeMap::from([("token".into(), b"hunter2".to_vec())]));
        assert_eq!(format!("{secrets:?}"), "{\"token\"}");
    }

    #[test]
    fn as_buildx_takes_them() {
        let read = |text: &str| text.parse::<SecretOption>();
        let is = |id: &str, place: Place| Ok(SecretOption { id: id.into(), place });
        assert_eq!(read("id=a,src=/b"), is("a", Place::File("/b".into())));
        assert_eq!(read("type=file,id=a,source=b"), is("a", Place::File("b".into())));
        assert_eq!(read("id=a,env=B"), is("a", Place::Variable("B".into())));
        assert_eq!(read("type=env,id=a,src=B"), is("a", Place::Variable("B".into())));
        assert_eq!(read("id=a"), is("a", Place::Either("a".into())));
        for bad in ["", "a", "src=b", "id=,src=b", "id=a,src=b,env=c", "id=a,mode=0", "id=a,type=x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("id=a,type=x"), Err("`x` is not a type of secret: write `file` or `env`".into()));
    }

    #[test]
    fn values_are_for_headers_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let option = |name: &str, value: &str| {
            std::fs::write(folder.path().join(name), value).unwrap();
            format!("id={name},src={}", folder.path().join(name).display()).parse::<SecretOption>().unwrap()
        };
        let secrets = Secrets::read(&[option("good", "Bearer hunter2"), option("bad", "Bearer hunter2\n")]).unwrap();
        assert_eq!(secrets.header("good"), Ok(Some("Bearer hunter2")));
        assert_eq!(secrets.header("other"), Ok(None));
        let told = secrets.header("bad").unwrap_err();
        assert!(told.contains("line break") && !told.contains("hunter2"), "{told}");
        assert!(!format!("{secrets:?}").contains("hunter2"));
        let missing = format!("id=a,src={}", folder.path().join("none").display()).parse::<SecretOption>().unwrap();
        assert!(Secrets::read(&[missing]).is_err());
    }
}
