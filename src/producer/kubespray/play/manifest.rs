//! A template of a role, rendered as far as the variables say. Owns what its statements do, whose conditions may hang
//! on what only a run would know; does not know what is looked for in the text.
//!
//! minijinja would stop at the first value that is unknown. Here both branches are taken then, and an expression is rendered
//! only where its text is wanted: a manifest has hundreds, and its images hang on few of them.

use std::ops::Range;
use std::sync::Arc;

use minijinja::value::Value as Jinja;

use crate::diagnostic::{Source, Span};
use crate::producer::kubespray::fault::Fault;
use crate::producer::kubespray::play::condition::{self, Verdict};
use crate::producer::kubespray::play::statement::{self, Part};
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::variables::{Layer, Rank, Variable};
use crate::producer::kubespray::yaml::{Node, Value};
use crate::producer::kubespray::{jinja, python};

/// Texts and expressions that a template may make. The largest manifest makes 2,000.
const MAX_PIECES: usize = 100_000;

/// A piece of the text that a template makes.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Range<usize>),
    /// An expression, and the variables where it stands.
    Expression(Range<usize>, Scope),
}

/// A template with what it makes.
pub(super) struct Manifest<'a> {
    source: &'a Arc<Source>,
    pieces: Vec<Piece>,
}

/// A line of the text that a template makes.
pub(super) struct Line<'a> {
    manifest: &'a Manifest<'a>,
    pieces: Vec<(Range<usize>, Option<&'a Scope>)>,
}

impl<'a> Manifest<'a> {
    /// Follows the statements of a template. A text that is no template is one piece.
    pub(super) fn new(source: &'a Arc<Source>, scope: &Scope) -> Self {
        let mut manifest = Self { source, pieces: Vec::new() };
        let parts = statement::parts(source.text());
        manifest.follow(&parts, &mut scope.clone());
        manifest
    }

    /// The file as it is, without a look for statements.
    pub(super) fn verbatim(source: &'a Arc<Source>) -> Self {
        Self { source, pieces: vec![Piece::Text(0..source.text().len())] }
    }

    /// Whether it makes more than is looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.pieces.len() > MAX_PIECES
    }

    /// The first line of the file.
    pub(super) fn first_line(&self) -> Span {
        self.span(&self.source.line(1))
    }

    /// The lines that it makes.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let mut line = Line { manifest: self, pieces: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Text(range) => {
                    let mut start = range.start;
                    for (at, _) in self.source.text()[range.clone()].match_indices('\n') {
                        line.pieces.push((start..range.start + at, None));
                        lines.push(std::mem::replace(&mut line, Line { manifest: self, pieces: Vec::new() }));
                        start = range.start + at + 1;
                    }
                    line.pieces.push((start..range.end, None));
                }
                Piece::Expression(range, scope) => line.pieces.push((range.clone(), Some(scope))),
            }
        }
        lines.push(line);
        lines
    }

    fn follow(&mut self, parts: &[Part], scope: &mut Scope) {
        for part in parts {
            if self.pieces.len() > MAX_PIECES {
                return;
            }
            match part {
                Part::Text(range) => self.pieces.push(Piece::Text(range.clone())),
                Part::Expression(range) => self.pieces.push(Piece::Expression(range.clone(), scope.clone())),
                Part::If(branches) => self.follow_if(branches, scope),
                Part::For { target, items, body, otherwise } => {
                    self.follow_for([target, items], body, otherwise, scope);
                }
                Part::Set(range) => self.set(range, scope),
                Part::Other(body) => self.follow(body, scope),
            }
        }
    }

    fn follow_if(&mut self, branches: &[(Option<Range<usize>>, Vec<Part>)], scope: &mut Scope) {
        for (condition, body) in branches {
            let verdict = match condition {
                Some(range) => condition::of_text(scope, &self.source.text()[range.clone()], &self.span(range)),
                None => Verdict::Yes,
            };
            if verdict != Verdict::No {
                self.follow(body, scope);
            }
            if verdict == Verdict::Yes {
                return;
            }
        }
    }

    fn follow_for(&mut self, [target, items]: [&Range<usize>; 2], body: &[Part], otherwise: &[Part], scope: &Scope) {
        let (text, filter) = filtered(&self.source.text()[items.clone()]);
        let span = self.span(items);
        let values = scope.expression("a loop", text, &span).ok();
        let values = values.and_then(|values| values.try_iter().ok()).map(Iterator::collect::<Vec<Jinja>>);
        let names: Vec<&str> = self.source.text()[target.clone()]
            .trim_matches(['(', ')'])
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let unknown = || unknown(&span, "the items of a loop");
        let Some(values) = values else {
            let layer = names.iter().map(|name| (*name, unknown())).chain([("loop", unknown())]);
            self.follow(body, &mut scope.and(local(layer)));
            return self.follow(otherwise, &mut scope.clone());
        };
        if values.is_empty() {
            return self.follow(otherwise, &mut scope.clone());
        }
        let last = values.len() - 1;
        for (index, value) in values.iter().enumerate() {
            let mut layer: Vec<(&str, Arc<Node>)> = match names.as_slice() {
                [name] => vec![(name, jinja::node(value, &span))],
                names => {
                    let part = |index: usize| {
                        let part = value.get_item_by_index(index).ok().filter(|part| !part.is_undefined());
                        part.map_or_else(unknown, |part| jinja::node(&part, &span))
                    };
                    names.iter().enumerate().map(|(index, name)| (*name, part(index))).collect()
                }
            };
            let state = Jinja::from_pairs([
                ("index", Jinja::from(index + 1)),
                ("index0", Jinja::from(index)),
                ("first", Jinja::from(index == 0)),
                ("last", Jinja::from(index == last)),
                ("length", Jinja::from(values.len())),
            ]);
            layer.push(("loop", jinja::node(&state, &span)));
            let mut scope = scope.and(local(layer));
            if filter.is_none_or(|filter| condition::of_text(&scope, filter, &span) != Verdict::No) {
                self.follow(body, &mut scope);
            }
        }
    }

    fn set(&self, range: &Range<usize>, scope: &mut Scope) {
        let text = &self.source.text()[range.clone()];
        let span = self.span(range);
        let Some((name, expression)) = text.split_once('=') else { return };
        let name = name.trim();
        // A part of a namespace, or several names at once.
        let (name, is_whole) = match name.split_once(['.', ',']) {
            Some((name, _)) => (name, false),
            None => (name, true),
        };
        let value = scope.expression(name, expression.trim(), &span).ok().filter(|_| is_whole);
        let node = value.map_or_else(|| unknown(&span, name), |value| jinja::node(&value, &span));
        *scope = scope.and(local([(name, node)]));
    }

    fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.source, range.clone())
    }
}

impl Line<'_> {
    /// The text, with a NUL in the place of each expression.
    pub(super) fn outline(&self) -> String {
        let text = |(range, scope): &(Range<usize>, Option<&Scope>)| match scope {
            Some(_) => "\0",
            None => &self.manifest.source.text()[range.clone()],
        };
        self.pieces.iter().map(text).collect()
    }

    /// The text.
    ///
    /// # Errors
    /// The first expression that cannot be rendered.
    pub(super) fn text(&self) -> Result<String, Fault> {
        let mut text = String::new();
        for (range, scope) in &self.pieces {
            let piece = &self.manifest.source.text()[range.clone()];
            match scope {
                Some(scope) => {
                    let name = "an expression of this template";
                    text += &python::text(&scope.expression(name, piece, &self.manifest.span(range))?);
                }
                None => text += piece,
            }
        }
        Ok(text)
    }

    /// The text, with `*` for each expression that cannot be rendered.
    pub(super) fn pattern(&self) -> String {
        let text = |(range, scope): &(Range<usize>, Option<&Scope>)| {
            let piece = &self.manifest.source.text()[range.clone()];
            let value = |scope: &Scope| scope.expression("a name", piece, &self.manifest.span(range)).ok();
            match scope {
                Some(scope) => value(scope).map_or_else(|| "*".to_owned(), |value| python::text(&value)),
                None => piece.to_owned(),
            }
        };
        self.pieces.iter().map(text).collect()
    }

    /// Where it is written: all that is not space.
    pub(super) fn span(&self) -> Span {
        let text = self.manifest.source.text();
        let visible = |(range, _): &&(Range<usize>, Option<&Scope>)| !text[range.clone()].trim().is_empty();
        let first = self.pieces.iter().find(visible).map_or(0, |(range, _)| range.start);
        // A line of several branches is shown by its beginning.
        let line = text[first..].find('\n').map_or(text.len(), |at| first + at);
        let first = first + text[first..line].len() - text[first..line].trim_start().len();
        Span::new(self.manifest.source, first..line)
    }
}

/// The items of a loop, and the condition of `for … in … if …`.
fn filtered(items: &str) -> (&str, Option<&str>) {
    // `a if b else c` chooses between two lists.
    match items.split_once(" if ") {
        Some((items, filter)) if !filter.contains(" else ") => (items, Some(filter)),
        _ => (items, None),
    }
}

/// A value that only a run would know.
pub(super) fn unknown(span: &Span, what: &str) -> Arc<Node> {
    Arc::new(Node::new(span.clone(), Value::Unknown(what.into())))
}

/// The names that a template defines for itself.
fn local<'a>(names: impl IntoIterator<Item = (&'a str, Arc<Node>)>) -> Layer {
    let mut layer = Layer::default();
    for (name, node) in names {
        let span = node.span.clone();
        layer.insert(name, Variable { node, span, rank: Rank::Extra });
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::kubespray::play::tests::scope;

    const VARIABLES: &str =
        "is_on: true\nis_off: false\nitems: [a, b]\npairs: { x: 1, y: 2 }\nnone: []\nname: calico\n";

    fn rendered(text: &str) -> String {
        let source = Source::new("a.j2", text);
        let manifest = Manifest::new(&source, &scope(VARIABLES, &["result"]));
        let lines = manifest.lines();
        let text = |line: &Line<'_>| line.text().unwrap_or_else(|fault| format!("<{}>", fault.message));
        lines.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn statements_are_followed() {
        for (text, expected) in [
            ("a\n{% if is_on %}\nb\n{% else %}\nc\n{% endif %}\nd", "a\nb\nd"),
            ("{% if is_off %}a{% elif name == 'calico' %}b{% else %}c{% endif %}", "b"),
            ("x: {% if is_off %}{{ name }}{% else %}{{ name }}:2{% endif %}\n", "x: calico:2"),
            ("{% for item in items %}\n- {{ item }}{{ loop.index }}\n{% endfor %}\n", "- a1\n- b2\n"),
            ("{% for k, v in pairs.items() %}{{ k }}{{ v }}{% if not loop.last %},{% endif %}{% endfor %}", "x1,y2"),
            ("{% for item in items if item == 'b' %}{{ item }}{% endfor %}", "b"),
            ("{% for item in none %}a{% else %}b{% endfor %}", "b"),
            ("{% set x = name ~ '1' %}{{ x }}", "calico1"),
            ("{# {{ x }} #}\na", "a"),
            ("a {%- if is_on -%} \n b {%- endif %}", "ab"),
            ("{% raw %}{{ x }}{% endraw %}a", "{{ x }}a"),
            ("{{ '}}' }}{ x }", "}}{ x }"),
            ("{% macro m(x) %}a{% endmacro %}b", "ab"),
            ("{% if is_on", "{% if is_on"),
            ("{% endif %}a", "a"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn what_hangs_on_a_run_is_taken_both_ways() {
        let text = "{% if result.rc == 0 %}\na\n{% elif is_off %}\nb\n{% else %}\nc\n{% endif %}";
        assert_eq!(rendered(text), "a\nc\n");
        assert_eq!(rendered("{% for x in result %}\na{% if x %}b{% endif %}\n{% endfor %}"), "ab");
        assert!(rendered("a {{ result.stdout }}").starts_with('<'));
        assert!(rendered("{% set x = result %}{{ x }}").starts_with('<'));
    }

    #[test]
    fn a_line_knows_where_it_is() {
        let source = Source::new("a.j2", "a\n  image: {% if is_on %}{{ name }}{% endif %}\n");
        let manifest = Manifest::new(&source, &scope(VARIABLES, &[]));
        let lines = manifest.lines();
        assert_eq!(lines[1].outline(), "  image: \0");
        assert_eq!(lines[1].span().text(), "image: {% if is_on %}{{ name }}{% endif %}");
    }
}
