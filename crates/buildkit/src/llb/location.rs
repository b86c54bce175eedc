//! Where in the user's files a vertex was asked for. Owns the files' texts as BuildKit wants them; does not know their
//! meaning.

use std::sync::Arc;

use bollard_buildkit_proto::pb;

/// A file that the user wrote: BuildKit shows excerpts of it in errors.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name as the user knows it.
    pub name: String,
    /// The whole text.
    pub data: Vec<u8>,
    /// The language, for highlighting: `yaml`, or empty.
    pub language: String,
}

/// Lines of a [`SourceFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The first and the last line, 1-based, both included.
    pub lines: (usize, usize),
}

impl Location {
    /// One line, 1-based.
    pub fn line(file: &Arc<SourceFile>, line: usize) -> Self {
        Self { file: Arc::clone(file), lines: (line, line) }
    }

    /// The range as BuildKit writes it.
    pub(crate) fn to_range(&self) -> pb::Range {
        let position = |line: usize| pb::Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 };
        pb::Range { start: Some(position(self.lines.0)), end: Some(position(self.lines.1)) }
    }
}

impl SourceFile {
    pub(crate) fn to_info(&self) -> pb::SourceInfo {
        pb::SourceInfo {
            filename: self.name.clone(),
            data: self.data.clone(),
            definition: None,
            language: self.language.clone(),
        }
    }
}
