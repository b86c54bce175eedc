//! File vertices: directories, small files and copies. Owns the encoding of BuildKit's `FileOp`; does not know what
//! the files are.

use super::State;
use bollard_buildkit_proto::pb;
use pb::file_action::Action;
use std::collections::HashMap;

/// The index that stands for "nothing" (scratch) as an input, and for "not an output".
const NONE: i64 = -1;
/// "Leave alone", as a timestamp and as the mode of a copy.
const KEEP: i64 = -1;

/// A file vertex under construction: actions applied in order.
#[derive(Debug, Clone)]
pub struct File {
    base: Option<State>,
    actions: Vec<FileAction>,
}

#[derive(Debug, Clone)]
enum FileAction {
    Mkdir(pb::FileActionMkDir),
    Mkfile(pb::FileActionMkFile),
    Copy(State, pb::FileActionCopy),
}

impl File {
    /// Actions on an empty root.
    pub fn scratch() -> Self {
        Self { base: None, actions: Vec::new() }
    }

    /// Actions on top of `base`.
    pub fn on(base: &State) -> Self {
        Self { base: Some(base.clone()), actions: Vec::new() }
    }

    /// Makes a directory.
    #[must_use]
    pub fn mkdir(mut self, mkdir: Mkdir) -> Self {
        self.actions.push(FileAction::Mkdir(mkdir.0));
        self
    }

    /// Writes a file.
    #[must_use]
    pub fn mkfile(mut self, mkfile: Mkfile) -> Self {
        self.actions.push(FileAction::Mkfile(mkfile.0));
        self
    }

    /// Copies from another state.
    #[must_use]
    pub fn copy(mut self, copy: Copy) -> Self {
        self.actions.push(FileAction::Copy(copy.from, copy.action));
        self
    }

    /// The vertex: its inputs are the base and what is copied from, each once, in order of first use.
    pub fn state(self) -> State {
        let mut inputs = Inputs::default();
        if let Some(base) = &self.base {
            inputs.place(base);
        }
        let sources: Vec<Option<i64>> = self
            .actions
            .iter()
            .map(|action| match action {
                FileAction::Copy(from, _) => Some(inputs.place(from)),
                FileAction::Mkdir(_) | FileAction::Mkfile(_) => None,
            })
            .collect();
        let inputs = inputs.into_states();
        let count = inputs.len();
        let last = self.actions.len().saturating_sub(1);
        let index = |n: usize| i64::try_from(n).expect("the number of actions fits in an i64");
        let actions = std::iter::zip(self.actions, sources)
            .enumerate()
            .map(|(at, (action, source))| pb::FileAction {
                // The result of action n is input number `count + n`; the first action starts from the base.
                input: match at {
                    0 if self.base.is_some() => 0,
                    0 => NONE,
                    _ => index(count + at - 1),
                },
                secondary_input: source.unwrap_or(NONE),
                output: if at == last { 0 } else { NONE },
                action: Some(match action {
                    FileAction::Mkdir(mkdir) => Action::Mkdir(mkdir),
                    FileAction::Mkfile(mkfile) => Action::Mkfile(mkfile),
                    FileAction::Copy(_, copy) => Action::Copy(copy),
                }),
            })
            .collect();
        State::new(pb::op::Op::File(pb::FileOp { actions }), None, inputs, &["file.base"])
    }
}

/// The inputs of a vertex, each once, in order of first use.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    states: Vec<State>,
    /// By digest and output.
    places: HashMap<(String, i64), i64>,
}

impl Inputs {
    /// The place of `state`, where it is added if it is new.
    pub(super) fn place(&mut self, state: &State) -> i64 {
        let next = i64::try_from(self.states.len()).expect("the number of inputs fits in an i64");
        *self.places.entry((state.digest().to_owned(), state.output)).or_insert_with(|| {
            self.states.push(state.clone());
            next
        })
    }

    pub(super) fn into_states(self) -> Vec<State> {
        self.states
    }
}

/// Makes a directory.
#[derive(Debug, Clone)]
pub struct Mkdir(pb::FileActionMkDir);

impl Mkdir {
    /// The directory `path`, with its permission bits.
    pub fn new(path: &str, mode: u32) -> Self {
        Self(pb::FileActionMkDir { path: path.into(), mode: bits(mode), timestamp: KEEP, ..Default::default() })
    }

    /// Makes the directories above it too.
    #[must_use]
    pub fn create_parents(mut self) -> Self {
        self.0.make_parents = true;
        self
    }

    /// The modification time, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.0.timestamp = nanoseconds(seconds);
        self
    }
}

/// Writes a file.
#[derive(Debug, Clone)]
pub struct Mkfile(pb::FileActionMkFile);

impl Mkfile {
    /// The file `path`, with its permission bits and content.
    pub fn new(path: &str, mode: u32, data: impl Into<Vec<u8>>) -> Self {
        Self(pb::FileActionMkFile {
            path: path.into(),
            mode: bits(mode),
            data: data.into(),
            timestamp: KEEP,
            ..Default::default()
        })
    }

    /// The modification time, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.0.timestamp = nanoseconds(seconds);
        self
    }
}

/// Copies a file or directory from another state.
#[derive(Debug, Clone)]
pub struct Copy {
    from: State,
    action: pb::FileActionCopy,
}

impl Copy {
    /// The path `src` of `from`, as `dest`. The mode is kept: given, it would also be put on created directories.
    pub fn new(from: &State, src: &str, dest: &str) -> Self {
        let action = pb::FileActionCopy {
            src: src.into(),
            dest: dest.into(),
            mode: -1,
            timestamp: KEEP,
            ..pb::FileActionCopy::default()
        };
        Self { from: from.clone(), action }
    }

    /// Makes the directories above `dest`.
    #[must_use]
    pub fn create_parents(mut self) -> Self {
        self.action.create_dest_path = true;
        self
    }

    /// Copies what is in the directory, not the directory.
    #[must_use]
    pub fn contents_only(mut self) -> Self {
        self.action.dir_copy_contents = true;
        self
    }

    /// Copies what a link leads to.
    #[must_use]
    pub fn follow_symlink(mut self) -> Self {
        self.action.follow_symlink = true;
        self
    }

    /// The mode of the copy, and of directories that it makes: twelve bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.action.mode = bits(mode);
        self
    }

    /// Unpacks `src` if it is an archive.
    #[must_use]
    pub fn unpack(mut self) -> Self {
        self.action.attempt_unpack_docker_compatibility = true;
        self
    }

    /// The modification time of everything copied, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.action.timestamp = nanoseconds(seconds);
        self
    }
}

fn bits(mode: u32) -> i32 {
    i32::try_from(mode & 0o7777).expect("twelve bits fit in an i32")
}

/// BuildKit's file ops count in nanoseconds.
fn nanoseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}
