//! What the caller chooses: the schema, the meaning of keys and tags, and the limits. Owns their defaults.

/// How a text is read. The default is what a strict reader of YAML 1.2 wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What plain scalars stand for.
    pub schema: Schema,
    /// When two keys are the same.
    pub keys: Keys,
    /// What a second key of the same name means.
    pub duplicate_keys: DuplicateKeys,
    /// What a tag means that YAML itself does not define.
    pub tags: Tags,
    /// How many documents there may be.
    pub documents: Documents,
    /// What a hostile text cannot exceed.
    pub limits: Limits,
}

/// What plain scalars (those without quotes) stand for. [`Schema::resolve`] applies it to a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// YAML 1.1 as PyYAML resolves it, and with it Ansible: `yes`, `no`, `on` and `off` are booleans, `0755` is octal, `0b11`
    /// is binary, `1_000` is a thousand, `1:30` is ninety, and `1e3` is text.
    ///
    /// Timestamps and floats of base 60 stay text.
    V1_1,
    /// The core schema of [YAML 1.2](https://yaml.org/spec/1.2.2/#103-core-schema): `true` and `false`, numbers as in JSON,
    /// `0o17` and `0x1F`.
    #[default]
    V1_2,
}

/// When two keys of a mapping are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key is a [`Key::String`](crate::Key::String) of its text, as in JSON: `1` and `"1"` are the same, `1` and `1.0`
    /// are not.
    #[default]
    Text,
    /// A plain key has the type that the schema gives it, and numbers are the same where they are equal: `1` and `"1"` are
    /// two keys, `1` and `1.0` are one.
    Typed,
}

/// What a second key of the same name means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DuplicateKeys {
    /// It is a problem ([`ProblemKind::DuplicateKey`](crate::ProblemKind::DuplicateKey)); the first stays.
    #[default]
    Report,
    /// It replaces the first, at the first one's position in the mapping, as in a Python dictionary.
    LastWins,
}

/// What a tag means that YAML itself does not define.
///
/// `!!str` and `!` make text of a scalar, and `!!seq`, `!!map` and `!` may stand at the collections that they name. All
/// others are subject to this option, `!!int` and its like too: they are not applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tags {
    /// It is a problem ([`ProblemKind::UnknownTag`](crate::ProblemKind::UnknownTag)); the node is read as if it had none.
    #[default]
    Report,
    /// It stays at its node ([`Node::tag`](crate::Node::tag)). A scalar with one is a [`Value::String`](crate::Value::String),
    /// whatever its text; with [`Node::is_plain`](crate::Node::is_plain) and [`Schema::resolve`] the caller can read it further.
    Keep,
}

/// How many documents a text may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Documents {
    /// A second one is a problem ([`ProblemKind::SecondDocument`](crate::ProblemKind::SecondDocument)), and is not read.
    #[default]
    One,
    /// Any number.
    Many,
}

/// What a hostile text cannot exceed. Whoever reads a text from elsewhere should limit its length in bytes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most levels of collections within one another, through aliases too.
    pub depth: usize,
    /// The most values of all documents together, collections included, keys included. Those behind an alias count as often as
    /// the alias is used, so that no text stands for more than this.
    pub values: usize,
}

impl Default for Limits {
    /// 64 levels, 1,000,000 values.
    fn default() -> Self {
        Self { depth: 64, values: 1_000_000 }
    }
}
