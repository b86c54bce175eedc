//! Lines of the user's files as details of an error: how they travel, and how BuildKit's clients show them. Owns the
//! JSON of `errdefs.Source`; does not know what is wrong with the lines.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::status::Detail;
use crate::llb::{Location, SourceFile};

/// The type URL of lines of a file.
const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";

/// How many lines of the user's files an error shows. An error's details travel in HTTP/2 headers, which gRPC limits.
pub const MAX_LINES: usize = 20;

/// Lines that are this near to each other stand in one excerpt: the client prints all that lies between.
const NEAR: usize = 5;
/// Larger files (bytes) are sent without what is far from the lines shown.
const WHOLE: usize = 16 << 10;
/// How many lines around the ones that matter are sent of larger files; clients print two on each side.
const AROUND: usize = 8;
/// A longer line (bytes) of such a file is cut.
const LONG_LINE: usize = 1024;

/// Lines of one file, as an error of BuildKit carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The name as the user knows it.
    pub filename: String,
    /// The text; where the file is large, lines far from those that matter are empty.
    pub data: Vec<u8>,
    /// The lines that matter, 1-based, in order.
    pub lines: Vec<RangeInclusive<usize>>,
}

/// What Go writes for `errdefs.Source`: fields of `protobuf-go`, bytes as base64, zeros left out. Both positions of a
/// range must be there, even if empty: the client does not look before it reads them.
#[derive(Serialize, Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    info: Info<'a>,
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Serialize, Deserialize)]
struct Info<'a> {
    #[serde(default)]
    filename: std::borrow::Cow<'a, str>,
    #[serde(default)]
    data: String,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    language: std::borrow::Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Range {
    #[serde(default)]
    start: Position,
    #[serde(default)]
    end: Position,
}

#[derive(Default, Serialize, Deserialize)]
struct Position {
    #[serde(default, skip_serializing_if = "is_zero")]
    line: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The details for the first [`MAX_LINES`] of `locations`: one for each group of near lines of a file, in the order in
/// which the files are first named, the last one first. Go's gRPC errors turn the order round on each hop, and from a
/// frontend to the user there are three.
pub(super) fn details(locations: &[Location]) -> Vec<Detail> {
    let mut files: Vec<(&SourceFile, BTreeMap<usize, usize>)> = Vec::new();
    for location in &locations[..locations.len().min(MAX_LINES)] {
        let at = files.iter().position(|(file, _)| **file == *location.file).unwrap_or_else(|| {
            files.push((&location.file, BTreeMap::new()));
            files.len() - 1
        });
        let (first, last) = location.lines;
        let end = files[at].1.entry(first).or_insert(last);
        *end = last.max(*end);
    }
    let mut details = Vec::new();
    for (file, lines) in files {
        let mut group: Vec<(usize, usize)> = Vec::new();
        for range in lines {
            if group.last().is_some_and(|(_, last)| range.0 > last + NEAR) {
                details.push(detail(file, &group));
                group.clear();
            }
            group.push(range);
        }
        details.push(detail(file, &group));
    }
    details.reverse();
    details
}

fn detail(file: &SourceFile, lines: &[(usize, usize)]) -> Detail {
    let first = lines.iter().map(|(first, _)| *first).min().unwrap_or(1);
    let last = lines.iter().map(|(_, last)| *last).max().unwrap_or(1);
    let position = |line: usize| Position { line };
    let source = Source {
        info: Info {
            filename: file.name.as_str().into(),
            data: STANDARD.encode(part(&file.data, first, last)),
            language: file.language.as_str().into(),
        },
        ranges: lines.iter().map(|(first, last)| Range { start: position(*first), end: position(*last) }).collect(),
    };
    let value = serde_json::to_vec(&source).expect("text and numbers have a JSON form");
    Detail { type_url: SOURCE.into(), value }
}

/// The text, without what is far from the lines `first` to `last` where it is large. Lines keep their numbers.
fn part(data: &[u8], first: usize, last: usize) -> Vec<u8> {
    if data.len() <= WHOLE {
        return data.to_vec();
    }
    let mut part = Vec::new();
    for (at, line) in data.split(|byte| *byte == b'\n').enumerate().take(last + AROUND) {
        if at > 0 {
            part.push(b'\n');
        }
        if at + 1 + AROUND >= first {
            part.extend_from_slice(&line[..line.len().min(LONG_LINE)]);
        }
    }
    part
}

impl Excerpt {
    /// The excerpt that a detail holds, if it holds one.
    pub(super) fn of(detail: &Detail) -> Option<Self> {
        if detail.type_url != SOURCE {
            return None;
        }
        let source: Source<'_> = serde_json::from_slice(&detail.value).ok()?;
        let lines = source.ranges.iter().map(|range| range.start.line..=range.end.line.max(range.start.line));
        Some(Self {
            filename: source.info.filename.into_owned(),
            data: STANDARD.decode(source.info.data).ok()?,
            lines: lines.collect(),
        })
    }

    /// The excerpt as `docker buildx build` and `buildctl` print it: two lines more on each side (four around a single
    /// line), `>>>` before those that matter. Empty where the lines are not in the text.
    #[cfg(any(test, feature = "testing"))]
    pub fn print(&self) -> String {
        use std::fmt::Write as _;

        let text = String::from_utf8_lossy(&self.data);
        let lines: Vec<&str> = text.split('\n').collect();
        let Some(first) = self.lines.iter().map(|range| *range.start()).min() else { return String::new() };
        let last = self.lines.iter().map(|range| *range.end()).max().unwrap_or(first);
        if first < 1 || first > lines.len() {
            return String::new();
        }
        let (mut from, mut to) = (first, last.min(lines.len()));
        let padding = if from == to { 4 } else { 2 };
        let mut padded = 0;
        while padded < padding {
            if from > 1 {
                from -= 1;
                padded += 1;
            }
            if to != lines.len() {
                to += 1;
                padded += 1;
            }
            padded += 1;
        }
        let mut out = format!("{}:{first}\n--------------------\n", self.filename);
        for number in from..=to {
            let mark = if self.lines.iter().any(|range| range.contains(&number)) { ">>>" } else { "   " };
            let _ = writeln!(out, " {number:3} | {mark} {}", lines[number - 1]);
        }
        out.push_str("--------------------\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::Error;

    fn file(name: &str, data: impl Into<Vec<u8>>, language: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: name.into(), data: data.into(), language: language.into() })
    }

    fn lines(file: &Arc<SourceFile>, numbers: impl IntoIterator<Item = usize>) -> Vec<Location> {
        numbers.into_iter().map(|number| Location::line(file, number)).collect()
    }

    fn numbered(count: usize) -> String {
        use std::fmt::Write;
        (1..=count).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "https://example.org/releases/file-{number:04}.tar.gz");
            text
        })
    }

    #[test]
    fn the_json_is_what_go_writes() {
        let file = file("temp/files.list", "https://a/x\nhttps://b/y\n", "yaml");
        let error = Error::new("no").at(&[Location::line(&file, 2), Location { file: file.clone(), lines: (4, 5) }]);
        // Written by `grpcerrors.ToGRPC` of BuildKit v0.32.0 for the same lines.
        let go = concat!(
            r#"{"info":{"filename":"temp/files.list","data":"aHR0cHM6Ly9hL3gKaHR0cHM6Ly9iL3kK","language":"yaml"},"#,
            r#""ranges":[{"start":{"line":2},"end":{"line":2}},{"start":{"line":4},"end":{"line":5}}]}"#
        );
        assert_eq!(error.details().len(), 1);
        assert_eq!(error.details()[0].type_url, "github.com/moby/buildkit/errdefs.Source+json");
        assert_eq!(String::from_utf8_lossy(&error.details()[0].value), go);
    }

    #[test]
    fn what_go_adds_is_no_obstacle() {
        let value = br#"{"info":{"filename":"a","data":"eA==","definition":{"def":["AA=="]}},"ranges":[{"start":{"line":1,"character":3},"end":{}}]}"#;
        let excerpt = Excerpt::of(&Detail { type_url: SOURCE.into(), value: value.to_vec() }).expect("an excerpt");
        assert_eq!(excerpt, Excerpt { filename: "a".into(), data: b"x".into(), lines: vec![1..=1] });
        assert_eq!(Excerpt::of(&Detail { type_url: SOURCE.into(), value: b"{".to_vec() }), None);
        assert_eq!(Excerpt::of(&Detail { type_url: "other".into(), value: value.to_vec() }), None);
    }

    #[test]
    fn near_lines_share_an_excerpt_and_far_ones_do_not() {
        let (list, spec) = (file("a.list", numbered(30), ""), file("hello.yaml", "x\ny\n", "yaml"));
        let locations = [lines(&list, [7, 9, 25, 7]), lines(&spec, [2])].concat();
        let excerpts = Error::new("no").at(&locations).excerpts();
        let shape: Vec<_> = excerpts.iter().map(|e| (e.filename.as_str(), e.lines.clone())).collect();
        assert_eq!(shape, [("a.list", vec![7..=7, 9..=9]), ("a.list", vec![25..=25]), ("hello.yaml", vec![2..=2])]);
        insta::assert_snapshot!(excerpts.iter().map(Excerpt::print).collect::<String>());
    }

    #[test]
    fn an_excerpt_of_a_large_file_is_small() {
        let list = file("a.list", numbered(1000), "");
        let details = Error::new("no").at(&lines(&list, [1, 990]));
        let sizes: Vec<_> = details.details().iter().map(|detail| detail.value.len()).collect();
        assert!(sizes.iter().all(|size| *size < 4 << 10), "{sizes:?}");
        insta::assert_snapshot!(details.excerpts().iter().map(Excerpt::print).collect::<String>());
    }

    #[test]
    fn the_whole_stays_within_what_grpc_carries() {
        let mut text = numbered(100_000);
        text.push_str(&"x".repeat(5 << 20));
        let list = file("a.list", text, "");
        let error = Error::new("no").at(&lines(&list, (1..100).map(|number| number * 1000)));
        assert_eq!(error.details().len(), MAX_LINES);
        assert!(error.details().iter().map(|detail| detail.value.len()).sum::<usize>() < 1 << 20);
        assert_eq!(error.excerpts()[19].lines, [20_000..=20_000]);
    }
}
