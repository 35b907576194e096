//! The secrets that replicas agree upon where the settings name none: the key of tokens and the
//! secret of session tickets.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::engine::{Away, Engine};
use crate::state::{Shared, State};

/// Between two looks at what the others have.
const AGAIN: Duration = Duration::from_secs(5);

/// Agrees with the others before the first connection. If the engine is away until `until`, the
/// process begins with secrets of its own.
pub(crate) async fn begin(engine: &Engine, state: &State, until: Instant) {
    let mut connections = engine.connections();
    let begun = timeout_at(until, async {
        // Fails only without an engine.
        _ = connections.wait_for(|number| *number > 0).await;
        agree(engine, state).await
    });
    if !matches!(begun.await, Ok(Ok(()))) {
        tracing::warn!(
            "the shared state is away at the start; until it is there, this replica has a key of tokens and of tickets of its \
             own where the settings name none"
        );
    }
}

/// Takes over what the others have agreed upon, and puts it into an engine that has lost it.
pub(crate) async fn keep(shared: Arc<Shared>) -> Infallible {
    let Some(engine) = &shared.engine else { return pending().await };
    let mut connections = engine.connections();
    loop {
        let state = shared.state().clone();
        // Fails while the engine is away, of which the log tells.
        _ = agree(engine, &state).await;
        tokio::select! {
            Ok(()) = connections.changed() => {}
            () = sleep(AGAIN) => {}
        }
    }
}

async fn agree(engine: &Engine, state: &State) -> Result<(), Away> {
    if let Some(tokens) = &state.tokens
        && let Some(ours) = tokens.fresh_key()
    {
        tokens.take_over_key(&engine.agree("token-key", &ours).await?);
    }
    if let Some(ours) = state.tls.proposed_ticket_secret() {
        state.tls.agree_on_tickets(engine.agree("tickets", &ours).await?);
    }
    Ok(())
}
