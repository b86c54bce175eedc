//! What must hold for every input, whoever wrote it: one module for each target. Owns the properties; does not know where
//! inputs come from. `main.rs` tests them with the inputs that are kept, `targets/` with those that libFuzzer makes.

pub mod config;
pub mod definition;
pub mod documents;
pub mod http;
pub mod kubespray;
pub mod layout;
pub mod lists;
pub mod lock;
pub mod names;
pub mod options;
pub mod served;
pub mod template;

use kso::diagnostic::{Diagnostic, Span, render};

/// A property, which panics where it does not hold.
pub type Property = fn(&[u8]);

/// Every target, by its name.
pub const ALL: [(&str, Property); 12] = [
    ("config", config::holds),
    ("definition", definition::holds),
    ("documents", documents::holds),
    ("http", http::holds),
    ("kubespray", kubespray::holds),
    ("layout", layout::holds),
    ("lists", lists::holds),
    ("lock", lock::holds),
    ("names", names::holds),
    ("options", options::holds),
    ("served", served::holds),
    ("template", template::holds),
];

/// What is told can be shown: places lie in their sources, between characters, and nothing reaches the terminal that
/// could move its cursor. Returns what is shown.
fn told(diagnostics: &[Diagnostic]) -> String {
    for diagnostic in diagnostics {
        let places = diagnostic.span.iter().chain(diagnostic.related.iter().map(|(span, _)| span));
        places.for_each(place);
        let words = [Some(&diagnostic.message), diagnostic.help.as_ref()];
        for word in words.into_iter().flatten() {
            assert!(!word.is_empty() && word.len() < 1 << 16, "{} bytes of message", word.len());
        }
    }
    let shown = render(diagnostics, 20);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    shown
}

/// A span is a piece of its source.
fn place(span: &Span) {
    let (text, range) = (span.source().text(), span.range());
    assert!(text.get(range.clone()).is_some(), "{range:?} of {} bytes in {}", text.len(), span.source().name());
    // Of every place of every input: bytes are counted many at a time.
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    assert!((1..=lines).contains(&span.line()), "line {} of {lines}", span.line());
}
