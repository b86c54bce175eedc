//! A frontend: an image with a greeting for each line of the file that it is given. `hello.Dockerfile` makes its image.

use std::process::ExitCode;

use buildkit::gateway::{BuildContext, BuildResult, Client, Error, Image, Options, run};
use buildkit::llb::{File, Mkfile, Platform};

fn main() -> ExitCode {
    run(Options::from_process(), |panic| format!("this is a bug of hello: {panic}"), hello)
}

async fn hello(client: Client, options: Options) -> Result<BuildResult, Error> {
    let context = BuildContext::new(&client, &options).await?;
    let names = context.read_dockerfile("names.txt").await?;
    let names = String::from_utf8(names.bytes).map_err(|_| Error::new(format!("{} is not text", names.name)))?;
    let mut files = File::scratch();
    for name in names.lines().map(str::trim).filter(|name| !name.is_empty() && !name.starts_with('#')) {
        files = files.mkfile(Mkfile::new(&format!("/{name}"), 0o644, format!("Hello, {name}!\n")).timestamp(0));
    }
    let root = files.state().named("write the greetings");
    let mut platforms = options.platforms()?;
    if platforms.is_empty() {
        platforms.push(options.default_platform());
    }
    let mut images = Vec::new();
    for platform in platforms {
        let Platform { os, architecture, .. } = &platform;
        let config = format!(r#"{{"os":"{os}","architecture":"{architecture}","rootfs":{{"type":"layers"}}}}"#);
        images.push(Image { reference: client.solve_state(&root).await?, config: config.into(), platform });
    }
    BuildResult::images(images, options.multi_platform()?)
}
