//! Only wires: the command line is in `cli`, the process in `runtime`.

use std::process::ExitCode;

use ackline::cli::{self, Invocation, Task, dead_letters, demo, fake, offsets};
use ackline::runtime;

mod allocator;

fn main() -> ExitCode {
    allocator::give_memory_back_soon();
    let outcome = cli::execute(
        Invocation::of_process(),
        &mut std::io::stdout(),
        |task| match task {
            Task::Run(config) => runtime::run(*config).map(|()| ExitCode::SUCCESS),
            Task::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
            Task::Fake(job) => {
                let (output, run) = job.into_parts();
                Ok(fake::tell(output, &runtime::fake::run(run)?))
            }
            Task::Kubectl(asked) => asked.run(&mut std::io::stdout()),
            Task::InjectCheck(check) => check.run(&mut std::io::stdout()),
            Task::Inject(server) => {
                runtime::injector::run(server.injector, &server.log).map(|()| ExitCode::SUCCESS)
            }
            Task::Operate(command) => command.run(&mut std::io::stdout()),
            Task::Offsets(request) => offsets::run(&request).map(|()| ExitCode::SUCCESS),
            Task::DeadLetters(request) => dead_letters::run(*request).map(|()| ExitCode::SUCCESS),
        },
    );
    cli::exit_code(outcome, |error: anyhow::Error| format!("{error:#}"))
}
