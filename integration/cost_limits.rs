//! The frontend's own cost is what was recorded, and within what is promised. It asserts no time: `make bench` tells that.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::Trial;

use crate::cost;
use crate::harness::frontend;
use crate::trials::{Test, trials};

const TESTS: &[Test] = &[
    ("ten_thousand_entries_take_less_than_300_mb", ten_thousand_entries_take_less_than_300_mb),
    ("the_frontend_takes_no_more_instructions_than_recorded", the_frontend_takes_no_more_instructions_than_recorded),
];

pub(crate) fn tests() -> Vec<Trial> {
    trials("cost_limits", TESTS)
}

fn ten_thousand_entries_take_less_than_300_mb() {
    let program = frontend::published().unwrap_or_else(|error| panic!("{error}"));
    for (what, fake) in [("files", cost::files(10_000)), ("blobs", cost::images(10_000))] {
        let taken = cost::measure(&program, &fake).unwrap_or_else(|error| panic!("10,000 {what}: {error}"));
        eprintln!("10,000 {what}: {taken:?}");
        assert!(taken.memory > 0 && taken.memory < 300_000_000, "10,000 {what}: {taken:?}");
    }
}

/// Another compiler may count otherwise, and no one's improvement is lost in it.
const MOST: f64 = 1.2;

fn the_frontend_takes_no_more_instructions_than_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/cost/instructions.json");
    let program = frontend::published().unwrap_or_else(|error| panic!("{error}"));
    let fakes = [("1,000 blobs", cost::images(1_000)), ("1,000 files", cost::files(1_000))];
    let counted = fakes.map(|(what, fake)| {
        let counted = cost::instructions(&program, &fake).unwrap_or_else(|error| panic!("{what}: {error}"));
        (what.to_owned(), counted)
    });
    let counted = BTreeMap::from(counted);
    if std::env::var_os("KSO_RECORD").is_some() {
        let text = serde_json::to_string_pretty(&counted).unwrap() + "\n";
        std::fs::write(&file, text).unwrap();
    }
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for (what, now) in &counted {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = *now as f64 / recorded[what] as f64;
        eprintln!("{what}: {now} instructions, {ratio:.3} of what was recorded");
        assert!(
            ratio <= MOST,
            "{what} take {now} instructions, {ratio:.2} times what was recorded; if that is meant, record it with \
             KSO_RECORD=1 cargo test --test integration cost_limits::"
        );
    }
}
