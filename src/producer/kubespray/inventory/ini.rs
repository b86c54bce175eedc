//! An inventory as INI: sections of hosts, of variables, of groups. Owns its lines, as Ansible's plugin `ini` reads them; does not
//! know what outranks what.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{ALL, Inventory, MAX_HOSTS, UNGROUPED, literal, pattern, words};
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::producer::kubespray::yaml::{Entry, Key};

/// What the lines of a section are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Hosts,
    Variables,
    Children,
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    inventory: &'a mut Inventory,
    diagnostics: &'a mut Vec<Diagnostic>,
    group: String,
    section: Section,
    /// The groups that have a section of hosts or children, here or in another file.
    declared: Vec<String>,
    /// The groups that something is said of, each where that is first, and how.
    mentioned: BTreeMap<String, (Span, Section)>,
}

/// Adds what the file `source` says to `inventory`, and every line that Ansible would refuse to `diagnostics`.
pub(super) fn read(source: &Arc<Source>, inventory: &mut Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let declared = inventory.groups.keys().cloned().chain([ALL.into(), UNGROUPED.into()]).collect();
    let mut reader = Reader {
        source,
        inventory,
        diagnostics,
        group: UNGROUPED.to_owned(),
        section: Section::Hosts,
        declared,
        mentioned: BTreeMap::new(),
    };
    for (range, line) in lines(source.text()) {
        if let Err(problem) = reader.line(range, line) {
            reader.diagnostics.push(problem);
        }
    }
    reader.undeclared();
}

/// Whether a text is an inventory: it has a section.
pub(super) fn is_inventory(text: &str) -> bool {
    lines(text).any(|(_, line)| header(line).is_some())
}

/// The lines with something on them, without the space around it, and where they are.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let offset = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    // What Python's `splitlines` takes for the end of a line.
    let ends = ['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];
    text.split(ends).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])).map(move |line| {
        let start = offset(line);
        (start..start + line.len(), line)
    })
}

impl Reader<'_> {
    fn line(&mut self, range: Range<usize>, line: &str) -> Result<(), Diagnostic> {
        let span = Span::new(self.source, range.clone());
        if let Some((group, section)) = header(line) {
            return self.header(group, section, span);
        }
        if line.starts_with('[') && line.ends_with(']') {
            let problem = Diagnostic::error(format!("{} is not a section", quoted(line))).at(span);
            return Err(problem.help("write `[group]`, `[group:vars]` or `[group:children]`, without spaces"));
        }
        match self.section {
            Section::Hosts => self.hosts(range.start, line),
            Section::Variables => {
                let Some((name, value)) = line.split_once('=') else {
                    let problem = Diagnostic::error(format!("{} is not a variable", quoted(line))).at(span);
                    return Err(problem.help("write `name=value`"));
                };
                let start = range.start + name.len() + 1 + (value.len() - value.trim_start().len());
                let value = Span::new(self.source, start..start + value.trim().len());
                let name = name.trim_end();
                let key = Span::new(self.source, range.start..range.start + name.len());
                self.inventory.set_of_group(&self.group, entry(name, key, &value))
            }
            Section::Children => self.child(line, span),
        }
    }

    fn header(&mut self, group: &str, section: Option<&str>, span: Span) -> Result<(), Diagnostic> {
        self.section = match section {
            None | Some("hosts") => Section::Hosts,
            Some("vars") => Section::Variables,
            Some("children") => Section::Children,
            Some(other) => {
                let problem = Diagnostic::error(format!("a section cannot have the type {}", quoted(other))).at(span);
                return Err(problem.help("write `[group]`, `[group:vars]` or `[group:children]`"));
            }
        };
        group.clone_into(&mut self.group);
        if self.section == Section::Variables {
            self.mentioned.entry(group.to_owned()).or_insert((span, Section::Variables));
        } else {
            self.declared.push(group.to_owned());
            self.inventory.group(group);
        }
        Ok(())
    }

    /// `node[1:3]:22 name=value …`
    fn hosts(&mut self, start: usize, line: &str) -> Result<(), Diagnostic> {
        let place = |range: &Range<usize>| Span::new(self.source, start + range.start..start + range.end);
        let words = words::split(line).map_err(|(why, at)| {
            Diagnostic::error(format!("the line of a host cannot be read: {why}")).at(place(&(at..at + 1)))
        })?;
        let Some((first, variables)) = words.split_first() else { return Ok(()) };
        let invalid = |why: &str| Diagnostic::error(format!("{} {why}", quoted(&first.text))).at(place(&first.range));
        if first.text.trim() == "---" {
            return Err(invalid("is how a YAML file begins, but this one is read as INI")
                .help("name the file `hosts.yaml`, or remove the line"));
        }
        let hosts = pattern::hosts(&first.text, MAX_HOSTS).map_err(|why| invalid(&why))?;
        if first.text.trim_end().ends_with(':') && hosts.port.is_none() {
            return Err(invalid("ends in a colon without a port").help("write the host alone, or `host:port`"));
        }
        let mut entries = Vec::new();
        for word in variables {
            let Some((name, value)) = word.text.split_once('=') else {
                return Err(Diagnostic::error(format!("{} is not a variable of the host", quoted(&word.text)))
                    .at(place(&word.range))
                    .help("write `name=value`, in quotation marks if it has spaces: `name=\"a b\"`"));
            };
            entries.push(Entry {
                key: Key::String(name.into()),
                span: place(&word.range),
                value: literal::value(value, &place(&word.range)),
            });
        }
        for host in &hosts.names {
            if !self.inventory.add_host(&self.group, host) {
                return Err(invalid(&format!("is one host too many: at most {MAX_HOSTS} can be read")));
            }
            for entry in &entries {
                self.inventory.set_of_host(host, entry.clone());
            }
        }
        Ok(())
    }

    fn child(&mut self, line: &str, span: Span) -> Result<(), Diagnostic> {
        let (name, rest) = line.split_at(line.find([':', ']']).unwrap_or(line.len()).min(first_space(line)));
        let rest = rest.trim_start();
        if name.is_empty() || !(rest.is_empty() || rest.starts_with('#')) {
            return Err(Diagnostic::error(format!("{} is not the name of a group", quoted(line))).at(span));
        }
        self.mentioned.entry(name.to_owned()).or_insert((span.clone(), Section::Children));
        self.inventory.add_child(&self.group, name, span);
        Ok(())
    }

    /// Reports each group that is only mentioned.
    fn undeclared(&mut self) {
        for (name, (span, section)) in &self.mentioned {
            if self.declared.contains(name) {
                continue;
            }
            let what = if *section == Section::Children { "is a child" } else { "has variables" };
            let problem = format!("the group {} {what}, but is not declared", quoted(name));
            let help = format!("add `[{name}]`, with its hosts");
            self.diagnostics.push(Diagnostic::error(problem).at(span.clone()).help(help));
        }
    }
}

fn first_space(line: &str) -> usize {
    line.find(char::is_whitespace).unwrap_or(line.len())
}

fn entry(name: &str, key: Span, value: &Span) -> Entry {
    Entry { key: Key::String(name.into()), span: key, value: literal::value(value.text(), value) }
}

/// `[group]`, `[group:type]`, with a comment behind it or not.
fn header(line: &str) -> Option<(&str, Option<&str>)> {
    let (inner, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    let (group, kind) = inner.split_once(':').map_or((inner, None), |(group, kind)| (group, Some(kind)));
    let is_word = |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    let fits = !group.is_empty()
        && !group.contains(char::is_whitespace)
        && kind.is_none_or(is_word)
        && (rest.is_empty() || rest.starts_with('#'));
    fits.then_some((group, kind))
}
