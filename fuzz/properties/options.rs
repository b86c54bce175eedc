//! The options of a build: one to a line, `!` for the list of workers.

use buildkit::gateway::{GitRef, Options};

/// Whatever clients write, every accessor answers, and options are what their text says.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pair = |(number, line): (usize, &str)| match line.strip_prefix('!') {
        Some(workers) => ("BUILDKIT_WORKERS".to_owned(), workers.to_owned()),
        None => (format!("BUILDKIT_FRONTEND_OPT_{number}"), line.to_owned()),
    };
    let options = Options::from_env(text.lines().enumerate().map(pair));
    assert_eq!(options, Options::from_env(text.lines().enumerate().map(pair)));
    for (key, value) in options.iter() {
        assert_eq!(options.get(key), Some(value));
        if let Some(Err(error)) = GitRef::parse(value) {
            assert!(!error.message().is_empty());
        }
        let named = key.strip_prefix("context:").unwrap_or(key);
        let platform = options.default_platform();
        drop(options.named_context(named, Some(&platform)));
        options.local_session(named);
        options.is_no_cache(named);
    }
    if let Ok(platforms) = options.platforms() {
        for platform in platforms {
            assert!(!platform.to_string().contains(char::is_whitespace), "{platform}");
        }
    }
    for (name, value) in options.build_args() {
        assert_eq!(options.build_arg(name).unwrap_or_default(), value);
    }
    let _ = (options.filename(), options.target(), options.request_id(), options.source(), options.command_line());
    let _ = (options.multi_platform(), options.resolve_mode(), options.cache_imports(), options.attestations());
    let _ = (options.labels(), options.no_cache(), options.buildkit_version(), options.workers().len());
    let _ = (options.source_date_epoch(), options.main_context(), options.dockerfile_local(), options.context_subdir());
}
