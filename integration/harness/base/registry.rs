//! The stand-in for `docker.io/library/registry:3`: the real program, laid out, started and configured like the official
//! image. It does not know what is built on it.

use serde_json::{Value, json};

use super::CREATED;
use crate::harness::Result;
use crate::harness::image::{Entry, Layer, Tree};
use crate::harness::tools::Tools;

/// Where daemons find it: the mirror path of the official name.
pub const REGISTRY: &str = "docker.io/library/registry:3";

/// What the official image sets: the storage, metrics at port 5001, deletion.
const CONFIG: &str = "\
version: 0.1
log: { level: debug, fields: { service: registry, environment: development } }
storage:
  delete: { enabled: true }
  cache: { blobdescriptor: inmemory }
  filesystem: { rootdirectory: /var/lib/registry }
  tag: { concurrencylimit: 5 }
http:
  addr: :5000
  debug: { addr: ':5001', prometheus: { enabled: true, path: /metrics } }
health:
  storagedriver: { enabled: true, interval: 10s, threshold: 3 }
";

/// A configuration file is served; a word that is a command of the registry is given to it; anything else is started.
const ENTRYPOINT: &str = "\
#!/bin/sh
case $1 in
  *.yml | *.yaml) exec registry serve \"$@\" ;;
  -* | help | serve | garbage-collect) exec registry \"$@\" ;;
esac
exec \"$@\"
";

/// The layers, lowest first: as many as the official image has, with the same purposes.
pub(super) fn layers(tools: &Tools) -> Result<[Layer; 5]> {
    let mut system = super::system(&[tools.path("registry")])?;
    system.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n").text("etc/group", "root:x:0:\n");
    let mut certificates = Tree::default();
    certificates.text("etc/ssl/certs/ca-certificates.crt", "");
    let mut program = Tree::default();
    program.copy(tools.path("registry"), "bin/registry")?;
    let mut config = Tree::default();
    config.text("etc/distribution/config.yml", CONFIG);
    let mut entrypoint = Tree::default();
    entrypoint.add("entrypoint.sh", Entry::File(0o755, ENTRYPOINT.into()));
    Ok([
        Layer::of(&system)?,
        Layer::of(&certificates)?,
        Layer::of(&program)?,
        Layer::of(&config)?,
        Layer::of(&entrypoint)?,
    ])
}

pub(super) fn config() -> Value {
    json!({
        "created": CREATED,
        "config": {
            "ExposedPorts": { "5000/tcp": {} },
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "OTEL_TRACES_EXPORTER=none"],
            "Entrypoint": ["/entrypoint.sh"],
            "Cmd": ["/etc/distribution/config.yml"],
            "Volumes": { "/var/lib/registry": {} },
            "WorkingDir": "/",
        },
        "history": [
            { "created": CREATED, "created_by": "ADD rootfs.tar.gz /" },
            { "created": CREATED, "created_by": "RUN apk add --no-cache ca-certificates" },
            { "created": CREATED, "created_by": "RUN wget registry.tar.gz" },
            { "created": CREATED, "created_by": "COPY ./config-example.yml /etc/distribution/config.yml # buildkit" },
            { "created": CREATED, "created_by": "ENV OTEL_TRACES_EXPORTER=none", "empty_layer": true },
            { "created": CREATED, "created_by": "VOLUME [/var/lib/registry]", "empty_layer": true },
            { "created": CREATED, "created_by": "EXPOSE map[5000/tcp:{}]", "empty_layer": true },
            { "created": CREATED, "created_by": "COPY entrypoint.sh /entrypoint.sh # buildkit" },
            { "created": CREATED, "created_by": "ENTRYPOINT [\"/entrypoint.sh\"]", "empty_layer": true },
            { "created": CREATED, "created_by": "CMD [\"/etc/distribution/config.yml\"]", "empty_layer": true },
        ],
    })
}
