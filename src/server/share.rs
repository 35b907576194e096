//! What one HTTP/2 connection may have at once: less, the more connections its network has. So the
//! connections of a network together are bounded, however many it opens.

/// Most streams of one connection.
const STREAMS: usize = 100;
/// Streams that the connections of a network share, as long as each has [`FEW_STREAMS`].
const OF_NETWORK: usize = 1600;
const FEW_STREAMS: usize = 16;
/// Bytes that a client may send ahead on one connection. This is the window of many streams: a
/// stream that may not send because others wait for the registry would look idle.
const WINDOW: usize = 32 << 20;
/// Bytes that the connections of a network share, as long as each has [`SMALL_WINDOW`]. A thousand
/// connections can send less than 512 MiB ahead.
const WINDOWS_OF_NETWORK: usize = 64 << 20;
const SMALL_WINDOW: usize = 128 << 10;
/// Bytes that a client may send ahead on one stream.
const STREAM_WINDOW: usize = 1 << 20;
const SMALL_STREAM_WINDOW: usize = 64 << 10;

/// What a connection may have at once, in the settings that it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) streams: u32,
    pub(super) window: u32,
    pub(super) stream_window: u32,
}

impl Share {
    /// The share of the newest of `connections` that a network has.
    pub(super) fn of(connections: usize) -> Self {
        let each =
            |most: usize, least: usize, shared: usize| (shared / connections.max(1)).clamp(least, most);
        let window = each(WINDOW, SMALL_WINDOW, WINDOWS_OF_NETWORK);
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            streams: number(each(STREAMS, FEW_STREAMS, OF_NETWORK)),
            window: number(window),
            stream_window: number((window / 8).clamp(SMALL_STREAM_WINDOW, STREAM_WINDOW)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_connections_have_all_that_a_connection_can_have() {
        let most = Share { streams: 100, window: 32 << 20, stream_window: 1 << 20 };
        assert_eq!((Share::of(1), Share::of(2)), (most, most));
        assert_eq!(Share::of(0), most);
        assert_eq!(Share::of(16), Share { streams: 100, window: 4 << 20, stream_window: 512 << 10 });
        assert_eq!(Share::of(64), Share { streams: 25, window: 1 << 20, stream_window: 128 << 10 });
        assert_eq!(Share::of(9999), Share { streams: 16, window: 128 << 10, stream_window: 64 << 10 });
    }

    #[test]
    fn a_thousand_connections_of_a_network_can_send_512_mib_ahead_at_most() {
        let windows: u64 = (1..=1000).map(|number| u64::from(Share::of(number).window)).sum();
        assert!(windows < 512 << 20, "{windows}");
    }
}
