//! Waits for what others answer.

use tokio::runtime::Builder;

/// What a question to other machines comes to. It bounds its own time.
///
/// # Errors
/// The system provides no runtime: why.
pub(super) fn wait_for<T>(question: impl Future<Output = T>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the system refuses: {error}"))?;
    let answer = runtime.block_on(question);
    // Does not wait for a name lookup.
    runtime.shutdown_background();
    Ok(answer)
}
