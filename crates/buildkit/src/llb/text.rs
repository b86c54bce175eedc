//! A definition for people: text, one vertex a line with what it is made from, and JSON. Does not know how it was made.

use std::collections::BTreeMap;
use std::fmt::Write;

use bollard_buildkit_proto::pb;
use pb::file_action::Action;
use prost::Message;
use serde_json::{Value, json};

use super::{Beside, Definition, Digest};

impl Definition {
    /// One vertex a line: its number, what it does, its name, the lines that asked for it. Inputs are named by number.
    ///
    /// ```text
    /// 1  https://example.com/x (checksum sha256:b491…)   # [files 1/1] x
    /// 2  file: copy 1:/x → /srv/x                        # layer x
    /// ```
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for vertex in self.vertices() {
            let _ = write!(out, "{:<4} {}", vertex.number, vertex.describe().join("\n     "));
            if let Some(name) = &vertex.beside.name {
                let _ = write!(out, "   # {name}");
            }
            for location in &vertex.beside.locations {
                let _ = write!(out, " {}:{}", location.file.name, location.lines.0);
            }
            out.push('\n');
        }
        out
    }

    /// The graph as a JSON list of vertices: digest, name, platform, inputs, op and source lines.
    pub fn to_json(&self) -> Value {
        let vertices = self.vertices().into_iter().map(|vertex| {
            let lines: Vec<Value> = vertex
                .beside
                .locations
                .iter()
                .map(|at| json!({ "file": at.file.name, "lines": [at.lines.0, at.lines.1] }))
                .collect();
            json!({
                "digest": vertex.digest.as_str(),
                "name": vertex.beside.name,
                "platform": vertex.op.platform.as_ref().map(|p| format!("{}/{}", p.os, p.architecture)),
                "inputs": vertex.op.inputs.iter().map(|input| &input.digest).collect::<Vec<_>>(),
                "kind": vertex.kind(),
                "does": vertex.describe(),
                "lines": lines,
            })
        });
        Value::Array(vertices.collect())
    }

    fn vertices(&self) -> Vec<Vertex<'_>> {
        let mut numbers = BTreeMap::<Digest, usize>::new();
        let mut vertices = Vec::new();
        for state in &self.ops {
            let op = pb::Op::decode(state.vertex.bytes.as_slice()).unwrap_or_default();
            let digest = state.digest();
            let inputs =
                op.inputs.iter().map(|i| numbers.get(i.digest.as_str()).copied().unwrap_or_default()).collect();
            let number = vertices.len() + 1;
            numbers.insert(digest.clone(), number);
            vertices.push(Vertex { number, digest, inputs, op, beside: &state.beside });
        }
        vertices
    }
}

/// A vertex as it is shown.
struct Vertex<'a> {
    number: usize,
    digest: &'a Digest,
    /// The numbers of the inputs.
    inputs: Vec<usize>,
    op: pb::Op,
    beside: &'a Beside,
}

impl Vertex<'_> {
    fn kind(&self) -> &'static str {
        match self.op.op {
            Some(pb::op::Op::Source(_)) => "source",
            Some(pb::op::Op::File(_)) => "file",
            Some(pb::op::Op::Merge(_)) => "merge",
            Some(pb::op::Op::Diff(_)) => "diff",
            Some(pb::op::Op::Exec(_)) => "exec",
            Some(pb::op::Op::Build(_)) | None => "other",
        }
    }

    /// What it does, one line an action.
    fn describe(&self) -> Vec<String> {
        let inputs = || self.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        match &self.op.op {
            Some(pb::op::Op::Source(source)) => {
                let mut line = source.identifier.clone();
                if let Some(platform) = &self.op.platform {
                    let _ = write!(line, " [{}/{}]", platform.os, platform.architecture);
                }
                for (key, value) in &source.attrs {
                    let _ = write!(line, " {key}={value}");
                }
                vec![line]
            }
            Some(pb::op::Op::File(file)) => file.actions.iter().map(|action| self.describe_action(action)).collect(),
            Some(pb::op::Op::Exec(exec)) => {
                let args = exec.meta.as_ref().map(|meta| meta.args.join(" ")).unwrap_or_default();
                vec![format!("exec [{}] {args}", inputs())]
            }
            _ => vec![format!("{} {}", self.kind(), inputs())],
        }
    }

    fn describe_action(&self, action: &pb::FileAction) -> String {
        match &action.action {
            Some(Action::Copy(copy)) => {
                let from = usize::try_from(action.secondary_input).ok().and_then(|at| self.inputs.get(at));
                format!("copy {}:{} → {}", from.map_or_else(|| "?".into(), ToString::to_string), copy.src, copy.dest)
            }
            Some(Action::Mkfile(file)) => format!("mkfile {} ({} bytes)", file.path, file.data.len()),
            Some(Action::Mkdir(dir)) => format!("mkdir {}", dir.path),
            Some(Action::Rm(rm)) => format!("rm {}", rm.path),
            Some(Action::Symlink(link)) => format!("symlink {} → {}", link.newpath, link.oldpath),
            None => "nothing".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::llb::{Copy, File, Http, Location, Mkfile, SourceFile, merge};
    use std::sync::Arc;

    #[test]
    fn a_person_can_read_it() {
        let list = Arc::new(SourceFile { name: "a.list".into(), data: Vec::new(), language: String::new() });
        let source =
            Http::new("https://example.com/x").perm(0o644).state().named("[files 1/1] x").at(Location::line(&list, 3));
        let layer = File::scratch().copy(Copy::new(&source, "/x", "/srv/x").create_parents()).state();
        let conf = File::scratch().mkfile(Mkfile::new("/c", 0o644, "hi")).state().named("conf");
        let definition = merge([layer, conf]).marshal();
        insta::assert_snapshot!(definition.to_text(), @r"
        1    https://example.com/x http.perm=0644   # [files 1/1] x a.list:3
        2    copy 1:/x → /srv/x
        3    mkfile /c (2 bytes)   # conf
        4    merge 2 3
        ");
        let json = definition.to_json();
        assert_eq!(json[1]["kind"], "file");
        assert_eq!(json[0]["lines"][0]["lines"][0], 3);
    }
}
