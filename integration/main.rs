//! The integration tests: kso against a real buildkitd, buildx, registry and nginx. See `integration/README.md`.

mod action;
mod air_gapped;
mod asked;
#[allow(dead_code, reason = "the benchmark uses more of it")]
mod cost;
mod cost_limits;
mod documents;
mod faults;
mod files;
mod frontend_image;
mod harness;
mod hello;
mod hostile;
mod images;
mod kubespray;
mod large;
#[path = "../cases/large.rs"]
mod large_inputs;
mod lock;
mod mirrors;
mod nodes;
mod progress;
mod smoke;
mod times;
mod trials;
mod unchanged;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial, run};

use harness::Harness;

/// As many tests at once as there are processors. More of them finish sooner on a quiet machine, but on a busy one
/// BuildKit then starts a frontend so late that it gives up on it ("frontend grpc server closed unexpectedly").
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let _ = arguments.test_threads.get_or_insert_with(threads);
    if !arguments.list
        && let Err(error) = Harness::start()
    {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    // What a test says when it panics is printed with the failures; here, only where.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("panicked at {}", panic.location().map(ToString::to_string).unwrap_or_default());
    }));
    let mut tests = Vec::new();
    tests.extend(smoke::tests());
    tests.extend(files::tests());
    tests.extend(images::tests());
    tests.extend(kubespray::tests());
    tests.extend(lock::tests());
    tests.extend(asked::tests());
    tests.extend(mirrors::tests());
    tests.extend(faults::tests());
    tests.extend(hostile::tests());
    tests.extend(action::tests());
    tests.extend(nodes::tests());
    tests.extend(progress::tests());
    tests.extend(air_gapped::tests());
    tests.extend(documents::tests());
    tests.extend(large::tests());
    tests.extend(cost_limits::tests());
    tests.extend(hello::tests());
    tests.extend(frontend_image::tests());
    tests.extend(unchanged::tests());
    let tests = times::in_order(tests);
    if !arguments.list {
        let runs = |test: &&Trial| {
            let ignored = test.has_ignored_flag() && !arguments.ignored && !arguments.include_ignored;
            !ignored && !arguments.is_filtered_out(test)
        };
        Harness::get().compile_ahead(times::needs(tests.iter().filter(runs)));
    }
    let names: Vec<String> = tests.iter().map(|test| test.name().to_owned()).collect();
    let conclusion = run(&arguments, tests);
    if let Err(error) = times::record(&names) {
        eprintln!("error: the times could not be written: {error}");
    }
    Harness::stop(conclusion.has_failed());
    conclusion.exit_code()
}
