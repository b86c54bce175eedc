//! Graphs as lines of the record: each op's digest, and what it is made of. Names, capabilities and source lines, which do
//! not count for the digest, are not shown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bollard_buildkit_proto::pb;
use pb::file_action::Action;
use prost::Message as _;

use super::world::digest;

/// What the graphs of one definition have in common: each op is shown once, where it comes first.
#[derive(Default)]
pub(crate) struct Ops {
    known: BTreeSet<String>,
    lines: String,
}

impl Ops {
    /// A graph as one line: the count of its ops, and the digest of their digests in order.
    pub(crate) fn graph(&mut self, graph: &pb::Definition) -> String {
        let mut order = String::new();
        for bytes in &graph.def {
            let whole = digest(bytes);
            let _ = writeln!(order, "{whole}");
            if self.known.insert(whole.clone()) {
                let op = pb::Op::decode(bytes.as_slice()).expect("an op of a graph");
                let _ = writeln!(self.lines, "  {} {}", short(&whole), shown(&op));
            }
        }
        format!("{:>4} ops {}", graph.def.len(), short(&digest(order.as_bytes())))
    }

    /// All ops so far, one line each.
    pub(crate) fn lines(self) -> String {
        self.lines
    }
}

/// The first 16 hex digits.
pub(crate) fn short(digest: &str) -> &str {
    &digest["sha256:".len()..][..16]
}

/// The line of the op that a graph results in.
pub(crate) fn head(graph: &pb::Definition) -> Option<String> {
    let last = pb::Op::decode(graph.def.last()?.as_slice()).ok()?;
    let wanted = &last.inputs.first()?.digest;
    let bytes = graph.def.iter().find(|bytes| digest(bytes) == *wanted)?;
    let ignores = graph.metadata.get(wanted).is_some_and(|metadata| metadata.ignore_cache);
    let op = pb::Op::decode(bytes.as_slice()).ok()?;
    Some(format!("{}{} {}", short(wanted), if ignores { " anew" } else { "" }, shown(&op)))
}

/// What an op is made of, without its inputs' own inputs.
fn shown(op: &pb::Op) -> String {
    let input = |at: i64| {
        let input = usize::try_from(at).ok().and_then(|at| op.inputs.get(at));
        input.map_or_else(
            || "-".to_owned(),
            |input| {
                let output = if input.index == 0 { String::new() } else { format!("#{}", input.index) };
                format!("{}{output}", &short(&input.digest)[..8])
            },
        )
    };
    let mut line = match &op.op {
        Some(pb::op::Op::Source(source)) => {
            let attributes = source.attrs.iter().map(|(key, value)| format!(" {key}={value}"));
            attributes.fold(source.identifier.clone(), |line, attribute| line + &attribute)
        }
        Some(pb::op::Op::File(file)) => actions(file, input),
        Some(pb::op::Op::Merge(merge)) => {
            merge.inputs.iter().fold("merge".to_owned(), |line, merged| line + " " + &input(merged.input))
        }
        Some(pb::op::Op::Exec(exec)) => program(exec, input),
        Some(_) => "another kind of op".to_owned(),
        None => format!("result {}", input(0)),
    };
    if let Some(platform) = &op.platform {
        let _ = write!(line, " [{}/{}{}]", platform.os, platform.architecture, platform.variant);
    }
    abridged(&line).chars().take(500).collect()
}

/// A text in one line, of whose digests the first digits are left: the op's own digest has all of them.
fn abridged(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    let line = parts.fold(first, |line, part| {
        let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        line + "sha256:" + &part[..hex.min(16)] + &part[hex..]
    });
    line.replace('\n', "\\n")
}

/// The actions of a file op; of many, the first three and how many more there are.
fn actions(file: &pb::FileOp, input: impl Fn(i64) -> String) -> String {
    let one = |action: &pb::FileAction| match &action.action {
        Some(Action::Copy(copy)) => {
            let from = input(action.secondary_input);
            let parents = if copy.create_dest_path { " parents" } else { "" };
            let contents = if copy.dir_copy_contents { " contents" } else { "" };
            format!(
                "copy {from}:{} {} mode={} time={}{parents}{contents}",
                copy.src, copy.dest, copy.mode, copy.timestamp
            )
        }
        Some(Action::Mkfile(file)) => {
            let (mode, time) = (file.mode, file.timestamp);
            format!(
                "mkfile {} mode={mode:o} time={time} {} bytes {}",
                file.path,
                file.data.len(),
                short(&digest(&file.data))
            )
        }
        Some(Action::Mkdir(dir)) => format!("mkdir {} mode={:o} time={}", dir.path, dir.mode, dir.timestamp),
        Some(Action::Symlink(link)) => format!("symlink {} {}", link.newpath, link.oldpath),
        Some(Action::Rm(rm)) => format!("rm {}", rm.path),
        None => "nothing".to_owned(),
    };
    let mut shown: Vec<String> = file.actions.iter().take(3).map(one).collect();
    if file.actions.len() > shown.len() {
        shown.push(format!("{} more", file.actions.len() - shown.len()));
    }
    format!("file: {}", shown.join("; "))
}

/// A program that is run: its arguments, its network, and all that it sees.
fn program(exec: &pb::ExecOp, input: impl Fn(i64) -> String) -> String {
    let empty = pb::Meta::default();
    let meta = exec.meta.as_ref().unwrap_or(&empty);
    let mut line = format!("exec {} cwd={} network={}", meta.args.join(" "), meta.cwd, exec.network);
    if !meta.env.is_empty() {
        let _ = write!(line, " env={}", meta.env.join(","));
    }
    if let Some(proxy) = &meta.proxy_env {
        let _ = write!(line, " proxy={}", proxy.https_proxy);
    }
    for mount in &exec.mounts {
        let _ = write!(line, "; {} {}", mount.dest, input(mount.input));
        let (readonly, keyed) = (if mount.readonly { " ro" } else { "" }, mount.content_cache);
        let _ = write!(line, "{readonly} out={} key={keyed} type={}", mount.output, mount.mount_type);
        if let Some(secret) = &mount.secret_opt {
            let _ = write!(line, " secret={} mode={:o} optional={}", secret.id, secret.mode, secret.optional);
        }
    }
    line
}
