//! What `make bench` measured, as `docs/benchmarks/SIZE.json` keeps it. Owns the figures and their units; does not know how
//! they were come by, or how they are shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything of one size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// `small` or `kubespray`.
    pub(crate) size: String,
    /// What it ran on: processor, memory, kernel, versions.
    pub(crate) machine: BTreeMap<String, String>,
    /// What was built: counts and bytes.
    pub(crate) inputs: BTreeMap<String, u64>,
    /// What the frontend takes by itself.
    pub(crate) frontend: Vec<Cost>,
    /// Every build, in the order they were made.
    pub(crate) runs: Vec<Run>,
}

/// What the frontend took by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// `1,000 files`
    pub(crate) what: String,
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// Of the processor, in seconds.
    pub(crate) cpu: f64,
    /// The most that was resident, in bytes.
    pub(crate) memory: u64,
}

/// What a contender makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// An image that serves files.
    Files,
    /// A registry's image with container images in it.
    Images,
    /// An image that serves the programs of Go that lie on this machine, by one way to compress.
    Programs,
    /// A registry's image with container images in it, by one way to compress.
    Compressed,
}

/// What was there before the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Row {
    /// Nothing.
    Cold,
    /// The same build.
    Warm,
    /// The same build, but for one file, or for the version of one image.
    Changed,
    /// The build for amd64 alone.
    Architecture,
}

/// One build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What is made.
    pub(crate) work: Work,
    /// The script that makes it.
    pub(crate) contender: String,
    /// What was there before.
    pub(crate) row: Row,
    /// The how manieth time, from 1.
    pub(crate) number: u32,
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// Of the processor, by the script with all it starts and by the daemon with its steps, in seconds.
    pub(crate) cpu: f64,
    /// The most that one process of the script had resident, in bytes.
    pub(crate) client_memory: u64,
    /// The most that the daemon had resident, in bytes; 0 where there is none.
    pub(crate) daemon_memory: u64,
    /// Bodies that the origin and the source registry sent, in bytes.
    pub(crate) fetched: u64,
    /// Blobs that the registry did not have, or files that were not there like that before, in bytes.
    pub(crate) pushed: u64,
    /// What a node of amd64 that has the image of the build before must pull, or a folder that has its files, in bytes.
    pub(crate) pulled_again: u64,
    /// Layers of the image for amd64; 0 where there is no image.
    pub(crate) layers: u64,
}

impl Record {
    /// The middle of a figure over the runs of a contender; the lower of the two for an even number. `None` where there are none.
    pub(crate) fn median(&self, work: Work, contender: &str, row: Row, figure: impl Fn(&Run) -> f64) -> Option<f64> {
        let of = |run: &&Run| run.work == work && run.contender == contender && run.row == row;
        let mut figures: Vec<f64> = self.runs.iter().filter(of).map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len().checked_sub(1)? / 2).copied()
    }

    /// How often each contender ran.
    pub(crate) fn times(&self) -> u32 {
        self.runs.iter().map(|run| run.number).max().unwrap_or(0)
    }
}
