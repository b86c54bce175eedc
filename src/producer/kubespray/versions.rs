//! Versions that do not go with a release. Owns how Kubespray writes them; does not know what is downloaded.

use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::name::Arch;
use crate::producer::kubespray::python;
use crate::producer::kubespray::scope::{Scope, respelled};
use crate::producer::kubespray::yaml::Value;

/// A version of Kubernetes that a release does not support.
pub(super) struct Unsupported {
    pub(super) problem: Diagnostic,
    /// One that it supports.
    pub(super) supported: String,
}

/// The version of Kubernetes, where the release does not support it.
pub(super) fn unsupported(scope: &Scope, arch: Arch) -> Option<Unsupported> {
    let version = scope.variable("kube_version").ok().map(|value| python::text(&value))?;
    let table = &scope.definition("kubelet_checksums")?.node;
    let Value::Map(table) = &table.value else { return None };
    let Value::Map(known) = &table.text(arch.as_str())?.value else { return None };
    let known: Vec<String> = known.entries().iter().map(|entry| entry.key.to_string()).collect();
    if known.contains(&version) || known.is_empty() {
        return None;
    }
    let variable = scope.definition("kube_version")?;
    let is_float = matches!(variable.node.value, Value::Float(_));
    let problem = Diagnostic::error(format!(
        "`kube_version` {} is not supported by this release of Kubespray",
        quoted(if is_float { variable.node.span.text() } else { &version })
    ));
    let problem = problem.at(variable.span.clone());
    let other = respelled(&version);
    let problem = if is_float {
        problem.help("YAML reads this as a number: write the version in quotation marks, with all three parts")
    } else if known.contains(&other) {
        problem.help(format!("this release writes it as `{other}`"))
    } else {
        problem.help(format!("write a version that it supports: {}", known.join(", ")))
    };
    Some(Unsupported { problem, supported: known.into_iter().next()? })
}

/// The problem of a URL or an image with `vv1.2`: the version has a `v`, and the release adds one.
pub(super) fn doubled(scope: &Scope, made: &str, span: &Span) -> Option<Diagnostic> {
    let is_doubled = |at: usize| {
        let (before, after) = (made[..at].chars().next_back(), made[at + 2..].chars().next());
        after.is_some_and(|c| c.is_ascii_digit()) && before.is_none_or(|c| !c.is_alphanumeric())
    };
    let (at, _) = made.match_indices("vv").find(|(at, _)| is_doubled(*at))?;
    let version = scope.find("_version", |node| match &node.value {
        Value::Text(text, _) => text.starts_with('v') && made[at + 1..].starts_with(&**text),
        _ => false,
    });
    let Some((name, variable)) = version else {
        return Some(Diagnostic::error(format!("{} has a version with two `v`", quoted(made))).at(span.clone()));
    };
    let text = variable.node.span.text().trim_matches(['"', '\'']);
    let problem = format!("`{name}` begins with `v`, but this release adds it: {}", quoted(made));
    let help = format!("write it as this release does: `{}`", text.trim_start_matches('v'));
    Some(Diagnostic::error(problem).at(variable.span.clone()).help(help))
}
