//! Whole frames of HTTP/2, which are not copied.

use super::*;
use crate::body::Piece;
use crate::crypto::HEADER;

/// Writes a frame as h2 does, whose payload shows itself before. Returns how many bytes of it were
/// taken.
fn write_frame(pair: &mut Pair, head: &[u8], payload: &Piece) -> usize {
    let mut slices = [IoSlice::new(head), IoSlice::new(&[])];
    let count = 1 + payload.chunks_vectored(&mut slices[1..]);
    let written = pair.session.write(&slices[..count]).unwrap();
    if written > 0 {
        return written;
    }
    pair.download(usize::MAX);
    pair.session.write(&slices[..count]).unwrap()
}

/// A session with a frame that waits, its payload and its piece.
fn with_frame() -> (Pair, Vec<u8>, Piece) {
    let mut pair = Pair::after_handshake(&TLS13);
    let payload = content(CONTENT - 9);
    let piece = Piece::new(payload.clone().into(), Some(pair.session.shown()));
    assert_eq!(write_frame(&mut pair, &[1; 9], &piece), CONTENT);
    assert!(!pair.session.tail.is_empty());
    (pair, payload, piece)
}

/// The lengths of the records that wait, without what each has more than its content.
fn waiting(session: &mut Session) -> Vec<usize> {
    let mut wire = Vec::new();
    _ = session.poll_drain(|records| {
        wire.extend_from_slice(records);
        Poll::Ready(Ok(records.len()))
    });
    let (mut wire, mut lengths) = (wire.as_slice(), Vec::new());
    while let [_, _, _, high, low, rest @ ..] = wire {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length + HEADER - OVERHEAD);
        wire = &rest[length..];
    }
    lengths
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn frames_arrive_whole_and_in_order(
        is_old in any::<bool>(),
        frames in prop::collection::vec(
            (prop_oneof![Just(9), Just(256), 1..300_usize], prop_oneof![Just(CONTENT - 9), 0..CONTENT], any::<bool>()),
            1..60,
        ),
    ) {
        let mut pair = Pair::new(if is_old { &TLS12 } else { &TLS13 });
        pair.shake_hands(usize::MAX);
        let shown = pair.session.shown();
        let mut sent = Vec::new();
        for (number, (head, payload, flushes)) in frames.into_iter().enumerate() {
            let head = vec![number as u8; head];
            let payload = content(number + payload).split_off(number);
            sent.extend([&head[..], &payload].concat());
            let (mut head, mut piece) = (&head[..], Piece::new(payload.into(), Some(shown.clone())));
            while head.len() + piece.remaining() > 0 {
                let written = write_frame(&mut pair, head, &piece);
                prop_assert!(written > 0);
                let of_head = written.min(head.len());
                head = &head[of_head..];
                piece.advance(written - of_head);
            }
            if flushes {
                pair.download(usize::MAX);
                prop_assert!(pair.session.tail.is_empty());
            }
        }
        pair.download(usize::MAX);
        prop_assert!(pair.received == sent);
    }
}

#[test]
fn a_whole_frame_and_the_head_of_the_next_are_one_record() {
    let mut pair = Pair::after_handshake(&TLS13);
    let shown = pair.session.shown();
    let piece = |length| Piece::new(content(length).into(), Some(shown.clone()));
    let whole = CONTENT - AFTER;
    for _ in 0..3 {
        assert_eq!(write_frame(&mut pair, &[1; AFTER], &piece(whole)), CONTENT);
    }
    assert_eq!(waiting(&mut pair.session), [AFTER, CONTENT, CONTENT, whole]);
    // Others are copied, and come after it.
    assert_eq!(write_frame(&mut pair, &[1; AFTER], &piece(whole)), CONTENT);
    assert_eq!(write_frame(&mut pair, &[1; AFTER], &piece(whole - 1)), CONTENT - 1);
    assert_eq!(waiting(&mut pair.session), [AFTER, whole, CONTENT - 1]);
    assert_eq!(write_frame(&mut pair, &[1; 9], &piece(whole)), whole + 9);
    assert_eq!(waiting(&mut pair.session), [whole + 9]);
}

#[test]
fn whole_frames_are_not_copied_when_a_batch_is_full() {
    let mut pair = Pair::after_handshake(&TLS13);
    let shown = pair.session.shown();
    let piece = Piece::new(content(CONTENT - AFTER).into(), Some(shown));
    while pair.received.is_empty() {
        assert_eq!(write_frame(&mut pair, &[1; AFTER], &piece), CONTENT);
        assert!(!pair.session.tail.is_empty());
    }
    assert!((BATCH..BATCH + CONTENT).contains(&pair.received.len()), "{}", pair.received.len());
}

#[test]
fn keys_may_change_while_a_frame_waits() {
    let (mut pair, payload, piece) = with_frame();
    pair.client.refresh_traffic_keys().unwrap();
    assert!(pair.upload(usize::MAX, 100).is_empty());
    assert_eq!(write_frame(&mut pair, &[2; 9], &piece), CONTENT);
    pair.download(usize::MAX);
    assert!(pair.received == [&[1; 9], &payload[..], &[2; 9], &payload].concat());
}

#[test]
fn a_frame_is_sealed_before_the_session_ends() {
    let (mut pair, payload, _piece) = with_frame();
    pair.session.end().unwrap();
    pair.download(usize::MAX);
    assert!(pair.received == [&[1; 9], &payload[..]].concat());
    assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0, "a clean end");
}

#[test]
fn after_a_fault_no_frame_follows_the_alert() {
    let (mut pair, _payload, _piece) = with_frame();
    let forged = [&[23, 3, 3, 0, 20][..], &[7; 20]].concat();
    assert_eq!(feed(&mut pair.session, &forged, 100).unwrap_err(), Error::DecryptError);
    // The header of the frame, which was sealed before, and the alert.
    assert_eq!(waiting(&mut pair.session), [9, 2]);
}
