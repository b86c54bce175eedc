//! The definition: parsed, and expanded without its lists.

use std::collections::BTreeMap;

use kso::definition::{Definition, MAX_DEFINITION_BYTES};
use kso::diagnostic::{Diagnostic, Source};
use kso::lint::{Findings, Options, Subject};

use super::lists::spec;
use super::told;

/// What is parsed is usable or told, the same each time, and names files of the build context only.
pub fn holds(data: &[u8]) {
    let Ok(source) = Source::from_bytes("kso.yaml", data.to_vec(), MAX_DEFINITION_BYTES) else { return };
    let parse = || {
        let mut diagnostics = Vec::new();
        (Definition::parse(&source, &mut diagnostics), diagnostics)
    };
    let (definition, mut diagnostics) = parse();
    let shown = told(&diagnostics);
    let again = parse();
    assert_eq!(format!("{definition:?}"), format!("{:?}", again.0));
    assert_eq!(shown, told(&again.1));
    let Some(definition) = definition else {
        assert!(diagnostics.iter().any(Diagnostic::is_error), "nothing was said");
        return;
    };
    for list in definition.lists() {
        super::lists::clean(&list);
    }
    let expanded = definition.expand(&BTreeMap::new(), &mut diagnostics);
    spec(&expanded, &diagnostics);
    told(&diagnostics);
    // Comments that skip rules.
    match Options::of(&source, None) {
        Ok(options) => {
            let subject = Subject { spec: &expanded, lock: None, pins: true, platforms: None };
            let found = || Findings::of(&subject, &source, &options, diagnostics.clone());
            assert_eq!(told(&found().reported), told(&found().reported));
        }
        Err(problem) => drop(told(&[problem])),
    }
}
