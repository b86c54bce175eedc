//! The page of benchmarks is what the program makes of the records: no figure is written by hand.

use std::fs;
use std::path::Path;

#[path = "../integration/bench/chart.rs"]
mod chart;
#[path = "../integration/bench/record.rs"]
mod record;
#[path = "../integration/bench/report.rs"]
mod report;

#[test]
fn the_page_is_made_of_the_records() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |name: &str| fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let sizes = report::SIZES.into_iter().filter(|size| docs.join(format!("benchmarks/{size}.json")).exists());
    let records = sizes.map(|size| {
        let record: record::Record = serde_json::from_str(&read(&format!("benchmarks/{size}.json"))).unwrap();
        assert_eq!(record.size, size);
        record
    });
    let records: Vec<_> = records.collect();
    assert!(!records.is_empty(), "nothing is recorded");
    let files = report::page(&records);
    for (name, text) in &files {
        assert!(*text == read(name), "docs/{name} is not what the records give; `make bench` writes it");
    }
    for entry in fs::read_dir(docs.join("benchmarks")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("benchmarks/{}", path.file_name().unwrap().to_str().unwrap());
        let record = path.extension().is_some_and(|extension| extension == "json");
        assert!(record || files.contains_key(&name), "docs/{name} belongs to nothing");
    }
}
