//! The instructions that the frontend takes, beside those that were recorded in `integration/cost/instructions.json`. They
//! depend on the compiler, so no test counts them. Does not know what is measured with a clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::cost;
use crate::harness::{Context, Error, Result};

/// Another compiler may count otherwise, and no one's improvement is lost in it.
const MOST: f64 = 1.2;

/// Fails where the frontend takes more than [`MOST`] times what was recorded; with `KSO_RECORD` set, records it anew.
pub(crate) fn compare(program: &Path) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/cost/instructions.json");
    let fakes = [("1,000 blobs", cost::images(1_000)), ("1,000 files", cost::files(1_000))];
    let counted = fakes.map(|(what, fake)| Ok((what.to_owned(), cost::instructions(program, &fake).context(what)?)));
    let counted = counted.into_iter().collect::<Result<BTreeMap<String, u64>>>()?;
    if std::env::var_os("KSO_RECORD").is_some() {
        let text = serde_json::to_string_pretty(&counted).context("a record")? + "\n";
        fs::write(&file, text).context(file.display())?;
    }
    let text = fs::read_to_string(&file).context(file.display())?;
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&text).context(file.display())?;
    let mut more = Vec::new();
    for (what, now) in &counted {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = *now as f64 / *recorded.get(what).context(format_args!("{what} is not recorded"))? as f64;
        eprintln!("bench: {what}: {now} instructions, {ratio:.3} of what was recorded");
        if ratio > MOST {
            more.push(format!("{what} take {now} instructions, {ratio:.2} times what was recorded"));
        }
    }
    if more.is_empty() {
        return Ok(());
    }
    let help = "if that is meant, record it with: make bench ONLY=frontend KSO_RECORD=1";
    Err(Error(format!("{}\nhelp: {help}", more.join("\n       "))))
}
