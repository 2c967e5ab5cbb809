//! The tests that `docs/testing.md` shows. They need the stubs of their language, and no Kafka.

use tokio::time::timeout;

use crate::harness::{Client, PATIENCE, tests_of_example};

async fn passes(client: Client) {
    if !client.is_tested() {
        return;
    }
    let mut command = tests_of_example(client.language());
    let output = timeout(PATIENCE, command.kill_on_drop(true).output())
        .await
        .expect("the example's test does not end")
        .unwrap();
    let (out, errors) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(errors)
    );
}

#[tokio::test]
async fn the_python_example_settles_everything_on_a_bad_day() {
    passes(Client::PythonSync).await;
}

#[tokio::test]
async fn the_go_example_settles_everything_on_a_bad_day() {
    passes(Client::Go).await;
}
