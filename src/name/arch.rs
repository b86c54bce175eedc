//! Architectures of the content. Owns their names; does not know platforms of images.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use crate::name::{Invalid, suggest};

/// An architecture that content is downloaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86, `x86_64` in the words of `uname -m`.
    Amd64,
    /// 64-bit Arm, `aarch64` in the words of `uname -m`.
    Arm64,
}

impl Arch {
    /// Every architecture there is, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name that OCI, Go and Kubespray use; what `{arch}` stands for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that `uname -m` prints; what `{uname}` stands for.
    pub fn uname(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The architectures that share a value, for each value, in the order of the architectures.
    pub(crate) fn by_value<T: PartialEq>(
        architectures: &[Self],
        value: impl Fn(Self) -> T,
    ) -> Vec<(T, BTreeSet<Self>)> {
        let mut groups = Vec::<(T, BTreeSet<Self>)>::new();
        for arch in architectures {
            let value = value(*arch);
            match groups.iter_mut().find(|(other, _)| *other == value) {
                Some((_, architectures)) => drop(architectures.insert(*arch)),
                None => groups.push((value, BTreeSet::from([*arch]))),
            }
        }
        groups
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(arch) = Self::ALL.into_iter().find(|arch| arch.as_str() == text) {
            return Ok(arch);
        }
        let invalid = Invalid::new(format!("unknown architecture {}", crate::diagnostic::quoted(text)));
        let synonym = Self::ALL.into_iter().find(|arch| arch.uname() == text).map(Self::as_str);
        Err(match synonym.or_else(|| suggest(text, Self::ALL.map(Self::as_str))) {
            Some(name) => invalid.help(format!("did you mean `{name}`?")),
            None => invalid.help("write `amd64` or `arm64`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_grouped_by_value() {
        let both = [Arch::Amd64, Arch::Arm64];
        assert_eq!(Arch::by_value(&both, |_| 7), [(7, BTreeSet::from(both))]);
        let each = both.map(|arch| (arch.uname(), BTreeSet::from([arch])));
        assert_eq!(Arch::by_value(&both, Arch::uname), each);
    }

    #[test]
    fn names() {
        assert_eq!(Arch::ALL.map(Arch::as_str), ["amd64", "arm64"]);
        assert_eq!(Arch::ALL.map(Arch::uname), ["x86_64", "aarch64"]);
        for arch in Arch::ALL {
            assert_eq!(arch.as_str().parse(), Ok(arch));
            assert!(arch.uname().parse::<Arch>().unwrap_err().help.unwrap().contains(arch.as_str()));
        }
    }
}
