//! The documents of the repository as Markdown: their blocks of code, links, headings and inline code. It does not know what
//! any of them says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Its path in the repository.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The first word after the fence.
    pub(crate) language: String,
    /// `title="…"` after it: the file that the block is.
    pub(crate) title: Option<String>,
    pub(crate) text: String,
    /// Where it begins.
    pub(crate) line: usize,
}

impl Block {
    /// Its commands: lines that end with a backslash are joined with the next one, comments and the outputs of a console are
    /// left out.
    pub(crate) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let lines = joined.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim());
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        match self.language.as_str() {
            "sh" => lines.map(str::to_owned).collect(),
            "console" => lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
}

/// Every document of the repository, sorted by path.
pub(crate) fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").map(|entry| entry.expect("an entry")) {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // What is built, and what is no part of the repository.
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn read(path: &PathBuf) -> Document {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(root()).expect("it was found there").to_string_lossy().into_owned();
    Document { path, text }
}

impl Document {
    /// Whether it tells users what to do, rather than those who work on kso.
    pub(crate) fn is_for_users(&self) -> bool {
        self.path == "README.md" || self.path.starts_with("docs/")
    }

    /// Its blocks of code.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match &kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                    let title = info.split_once("title=\"").and_then(|(_, rest)| rest.split('"').next());
                    let (title, line) = (title.map(str::to_owned), self.line(range.start));
                    blocks.push(Block { language, title, text: String::new(), line });
                    open = true;
                }
                Event::End(TagEnd::CodeBlock) => open = false,
                Event::Text(text) if open => {
                    if let Some(block) = blocks.last_mut() {
                        block.text.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        blocks
    }

    /// Where its links and images lead, with their lines.
    pub(crate) fn links(&self) -> Vec<(String, usize)> {
        let to = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.to_string()),
            _ => None,
        };
        self.events().into_iter().filter_map(|(event, at)| Some((to(event)?, self.line(at.start)))).collect()
    }

    /// Its inline code, with the lines.
    pub(crate) fn code(&self) -> Vec<(String, usize)> {
        let code = |event| if let Event::Code(code) = event { Some(code.to_string()) } else { None };
        self.events().into_iter().filter_map(|(event, at)| Some((code(event)?, self.line(at.start)))).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        let mut heading: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|it| it.push_str(&text)),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let numbered = (1..).map(|number| format!("{anchor}-{number}"));
                    let free = std::iter::once(anchor.clone()).chain(numbered).find(|it| !anchors.contains(it));
                    anchors.extend(free);
                }
                _ => {}
            }
        }
        anchors
    }

    fn events(&self) -> Vec<(Event<'_>, std::ops::Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter().collect()
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}
