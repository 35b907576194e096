//! The library at work.

use tokio::task::JoinSet;

use super::error::IssuanceError;

/// Runs `work` in a separate task, so that a panic in the library is an ordinary failure.
pub(super) async fn run<T: 'static>(
    work: impl Future<Output = Result<T, IssuanceError>> + 'static,
) -> Result<T, IssuanceError> {
    let mut task = JoinSet::new();
    task.spawn_local(work);
    match task.join_next().await {
        Some(Ok(ended)) => ended,
        _ => Err(IssuanceError::new("a bug in tidegate or its ACME library; the log contains the panic")),
    }
}
