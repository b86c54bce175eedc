//! Definitions and their plans, without any network: readable snapshots.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{Content, Error, Plan};
use crate::base::BaseImage;
use crate::definition::{Definition, Spec};
use crate::diagnostic::{Diagnostic, Source};
use crate::kind::files::tree as files;
use crate::kind::files::tree::artifacts;
use crate::name::{Arch, Platform};
use crate::plan::{Options, layout};

/// A spec of a definition that asks for lists by these texts.
fn spec(definition: &str, lists: &[(&str, &str)]) -> Spec {
    let mut diagnostics = Vec::new();
    let definition = Definition::parse(&Source::new("kso.yaml", definition), &mut diagnostics).expect("a version");
    let lists: BTreeMap<_, _> =
        lists.iter().map(|(name, text)| ((*name).to_owned(), Ok(Source::new(*name, *text)))).collect();
    let spec = definition.expand(&lists, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    spec
}

/// The official nginx image of two platforms, as far as it matters.
fn bases() -> Vec<BaseImage> {
    let base = |arch: Arch| BaseImage {
        platform: Platform::linux(arch),
        reference: "nginx:1.27-alpine".parse().expect("a name"),
        config: format!(
            r#"{{"architecture":"{arch}","os":"linux","config":{{"Cmd":["nginx"]}},"rootfs":{{"diff_ids":["a","b"]}}}}"#
        )
        .into_bytes(),
    };
    Arch::ALL.map(base).into()
}

fn plan(spec: &Spec, bases: &[BaseImage]) -> Result<Plan, Error> {
    files::plan(spec.file_section(), &artifacts(spec.file_section()), bases, &Options::default())
}

/// A plan for people.
fn text(spec: &Spec, plan: &Plan) -> String {
    let artifacts = artifacts(spec.file_section());
    let mut out = String::new();
    for layer in &plan.layers {
        let _ = writeln!(out, "layer {}", layer.name);
        for entry in &layer.entries {
            let from = match &entry.content {
                Content::Artifact(id) => format!("<- {}", artifacts[*id].name()),
                Content::Text(text) => format!("<- text of {} lines", text.lines().count()),
            };
            let _ = writeln!(out, "  {} {from}", entry.path);
        }
    }
    out
}

/// The server block of a plan.
fn server_block(plan: &Plan) -> &str {
    match &plan.layers[0].entries[0].content {
        Content::Text(text) => text,
        Content::Artifact(_) => panic!("the first layer is nginx's configuration"),
    }
}

#[test]
fn the_example_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/files");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("it is in the repository");
    let names = ["temp/files-amd64.list", "temp/files-arm64.list"];
    let lists = names.map(read);
    let spec = spec(&read("kso.yaml"), &[(names[0], &lists[0]), (names[1], &lists[1])]);
    let plan = plan(&spec, &bases()).expect("a plan");
    insta::assert_snapshot!("example_files_layers", text(&spec, &plan));
    insta::assert_snapshot!("example_files_nginx", server_block(&plan));
    let configs: Vec<serde_json::Value> =
        plan.images.iter().map(|image| serde_json::from_slice(&image.config).expect("JSON")).collect();
    insta::assert_json_snapshot!("example_files_config", configs[1]);
    assert_eq!(configs[0]["history"], configs[1]["history"], "only the platform differs");
    assert_eq!((&configs[0]["architecture"], &configs[1]["architecture"]), (&"amd64".into(), &"arm64".into()));
}

#[test]
fn a_prefix_of_several_folders() {
    let spec = spec(
        "apiVersion: kso/v1\n\
         files: [{ url: 'https://a.example:8443/x%20y.tgz?v=1', path: 'own/place-{arch}' }, { url: 'https://a.example/z' }]\n\
         fileServer: { root: /srv/www/data, path: a/b/c }\n",
        &[],
    );
    let plan = plan(&spec, &bases()).expect("a plan");
    insta::assert_snapshot!("prefix_layers", text(&spec, &plan));
    let block = server_block(&plan);
    assert!(block.contains("location /a/b/c/ {") && block.contains("root /srv/www/data;"), "{block}");
}

#[test]
fn big_files_have_layers_and_small_ones_share() {
    let urls: Vec<String> = (0..60).map(|at| format!("  - url: https://a.example/tool{at:02}x/bin\n")).collect();
    let mut spec = spec(&format!("apiVersion: kso/v1\nfiles:\n{}", urls.concat()), &[]);
    // The last ten of the sixty are the biggest.
    for (at, file) in spec.files.iter_mut().enumerate() {
        file.bytes = Some(if at < 50 { 100 } else { 50 << 20 });
    }
    let plan = plan(&spec, &bases()).expect("a plan");
    let layout = format!("layout {}\n", layout::VERSION);
    insta::assert_snapshot!("big_and_small_layers", layout + &text(&spec, &plan));
    let own: Vec<&str> = plan.layers.iter().filter(|l| l.entries.len() == 1).map(|l| l.name.as_str()).collect();
    for at in 50..60 {
        assert!(own.contains(&format!("a.example/tool{at}x/bin").as_str()), "{own:?}");
    }
}

#[test]
fn no_plan_for_what_is_no_image() {
    let spec = spec("apiVersion: kso/v1\nfiles: [{ url: 'https://a.example/x' }]\n", &[]);
    let told = |config: &str| {
        let bases = [BaseImage { config: config.into(), ..bases().swap_remove(0) }];
        let error = plan(&spec, &bases).expect_err("no plan");
        let Diagnostic { message, help, .. } = Diagnostic::from(error);
        format!("{message}; {}", help.unwrap_or_default())
    };
    assert_eq!(told("[]"), "the base image has no OCI config: it is not a runnable image; ");
    let many = format!(r#"{{"rootfs":{{"diff_ids":[{}]}}}}"#, vec!["\"x\""; 89].join(","));
    assert_eq!(
        told(&many),
        "the base image has 89 layers, but an image may have 90 in total; use a base image with fewer layers, or a higher `layers:`"
    );
}
