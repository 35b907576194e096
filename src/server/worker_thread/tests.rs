use std::future::pending;

use super::*;

/// How a worker ends when `helper` runs beside its `work`.
async fn ends_with(helper: impl Future<Output = ()> + 'static, work: impl Future<Output = ()>) -> String {
    let helpers = [("something", spawn_local(helper)), ("nothing", spawn_local(pending()))];
    match with_helpers(helpers, work).await {
        Ok(()) => "the end of its work".to_owned(),
        Err(cause) => cause.to_string(),
    }
}

#[tokio::test(flavor = "local")]
async fn a_worker_fails_with_its_helpers() {
    assert_eq!(ends_with(async {}, pending()).await, "lost its task for something");
    assert_eq!(ends_with(async { panic!("for a test") }, pending()).await, "lost its task for something");
    assert_eq!(ends_with(pending(), async {}).await, "the end of its work");
}
