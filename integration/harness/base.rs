//! The stand-in for `docker.io/library/nginx:1.27-alpine`: Debian's nginx with the libraries it needs, laid out and
//! configured like the official image. It does not know what is built on it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::image::{Entry, Image, Layer, Tree};
use super::registry::Registry;
use super::tools::{Tools, search_path};
use super::{Context, Error, Result};

/// Where daemons find it: the mirror path of the official name.
pub const NGINX: &str = "docker.io/library/nginx:1.27-alpine";

/// No clock: the same machine gives the same image on every run.
const CREATED: &str = "2025-01-02T03:04:05Z";

const NGINX_CONF: &str = r#"user  nginx;
worker_processes  auto;
error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;
events {
    worker_connections  1024;
}
http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
    access_log  /var/log/nginx/access.log  main;
    sendfile        on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
"#;

const DEFAULT_CONF: &str = "server {
    listen       80;
    listen  [::]:80;
    server_name  localhost;
    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }
}
";

const ENTRYPOINT: &str = "#!/bin/sh\nset -e\nexec \"$@\"\n";

/// Pushes it for linux/amd64 and linux/arm64. Both hold this machine's programs: only the native one can be started,
/// but they are two manifests with two configs.
pub fn push(tools: &Tools, registry: &Registry) -> Result<()> {
    let layers = [Layer::of(&system(tools)?)?, Layer::of(&server(tools)?)?, Layer::of(&settings())?];
    let mut image = Image::default();
    for platform in ["linux/amd64", "linux/arm64"] {
        image.add(platform, config(), &layers);
    }
    registry.push(NGINX, &image)
}

/// What a program needs to start: libraries, a shell, users.
fn system(tools: &Tools) -> Result<Tree> {
    let mut tree = Tree::default();
    for folder in ["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/cache"] {
        tree.add(folder, Entry::Folder);
    }
    let shell = ["/bin/dash", "/bin/bash"].map(Path::new).into_iter().find(|shell| shell.exists());
    let shell = shell.context("this machine has neither /bin/dash nor /bin/bash")?;
    tree.copy(shell, "bin/sh")?;
    for program in [shell, &tools.path("nginx").join("usr/sbin/nginx")] {
        for library in libraries(program)? {
            tree.copy(Path::new(&library), &library)?;
        }
    }
    tree.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:101:nginx:/nonexistent:/bin/false\n");
    tree.text("etc/group", "root:x:0:\nnginx:x:101:\n");
    tree.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    Ok(tree)
}

/// nginx itself.
fn server(tools: &Tools) -> Result<Tree> {
    let unpacked = tools.path("nginx");
    let mut tree = Tree::default();
    tree.copy(&unpacked.join("usr/sbin/nginx"), "usr/sbin/nginx")?;
    tree.copy(&unpacked.join("etc/nginx/mime.types"), "etc/nginx/mime.types")?;
    for folder in ["var/cache/nginx", "var/lib/nginx"] {
        tree.add(folder, Entry::Folder);
    }
    tree.add("var/log/nginx/access.log", Entry::Link("/dev/stdout".into()));
    tree.add("var/log/nginx/error.log", Entry::Link("/dev/stderr".into()));
    Ok(tree)
}

/// What the official image adds around it.
fn settings() -> Tree {
    let mut tree = Tree::default();
    tree.text("etc/nginx/nginx.conf", NGINX_CONF);
    tree.text("etc/nginx/conf.d/default.conf", DEFAULT_CONF);
    tree.text("usr/share/nginx/html/index.html", "<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n");
    tree.text("usr/share/nginx/html/50x.html", "<!DOCTYPE html>\n<title>Error</title>\n");
    tree.add("docker-entrypoint.sh", Entry::File(0o755, ENTRYPOINT.into()));
    tree.add("docker-entrypoint.d", Entry::Folder);
    tree
}

fn config() -> Value {
    json!({
        "created": CREATED,
        "config": {
            "ExposedPorts": { "80/tcp": {} },
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.27.5"],
            "Entrypoint": ["/docker-entrypoint.sh"],
            "Cmd": ["nginx", "-g", "daemon off;"],
            "WorkingDir": "/",
            "Labels": { "maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>" },
            "StopSignal": "SIGQUIT",
        },
        "history": [
            { "created": CREATED, "created_by": "ADD rootfs.tar.gz /" },
            { "created": CREATED, "created_by": "ENV NGINX_VERSION=1.27.5", "empty_layer": true },
            { "created": CREATED, "created_by": "RUN apk add nginx" },
            { "created": CREATED, "created_by": "COPY docker-entrypoint.sh / # buildkit" },
            { "created": CREATED, "created_by": "CMD [\"nginx\" \"-g\" \"daemon off;\"]", "empty_layer": true },
        ],
    })
}

/// The shared libraries a program loads, its loader included, as paths that `ldd` names.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("PATH", search_path())
        .env("LC_ALL", "C")
        .output()
        .context("ldd could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || text.contains("not found") {
        return Err(Error(format!("ldd {}:\n{text}{}", program.display(), String::from_utf8_lossy(&output.stderr))));
    }
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}
