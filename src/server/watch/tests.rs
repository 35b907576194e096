use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{advance, timeout};

use super::*;
use crate::body::FairQueue;
use crate::config::Config;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(10);

/// Loopback bytes are acknowledged in real time, so a paused clock may be one check ahead.
const SLACK: Duration = Duration::from_secs(2);

struct Client {
    watch: Rc<Watch>,
    socket: TcpStream,
}

/// A client that has just connected. `limits` are in the syntax of the settings.
async fn client(limits: &str) -> Client {
    let text = format!("[tls]\ncertificate = 'c'\nkey = 'k'\n[limits]\n{limits}\n");
    let limits = Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap().limits;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let watch =
        Watch::new(Rc::new(Meter::new(accepted)), Slot::for_a_test(), &limits, Instant::now() + FIRST);
    Client { watch, socket }
}

impl Client {
    /// The next event and the time it took.
    async fn next_event(&self) -> (Event, Duration) {
        let begun = Instant::now();
        (self.watch.next_event().await, begun.elapsed())
    }

    /// Writes until the client and the kernel accept no more.
    async fn fill(&self) {
        poll_fn(|cx| {
            while self.watch.meter.poll_write(cx, &[0; 64 * 1024]).is_ready() {}
            Poll::Ready(())
        })
        .await;
    }
}

fn flow() -> Rc<Flow> {
    Rc::new(Flow::new(Rc::new(FairQueue::default())))
}

#[tokio::test(start_paused = true)]
async fn without_a_request_the_connection_is_idle_at_its_first_deadline() {
    let client = client("").await;
    assert_eq!(client.next_event().await, (Event::Close(CloseReason::Idle), FIRST));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closing_has_no_deadline() {
    let client = client("").await;
    client.watch.mark_closing();
    assert!(timeout(10 * FIRST, client.watch.next_event()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_running_request_has_no_deadline() {
    let client = client("").await;
    let _busy = client.watch.begin();
    assert!(timeout(10 * FIRST, client.watch.next_event()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_http1_connection_rests_soon_after_its_answer() {
    let client = client("header_timeout = '30s'").await;
    client.watch.follow(&flow());
    drop(client.watch.begin());
    let (event, time) = client.next_event().await;
    assert_eq!(event, Event::Rest);
    assert!(time <= 2 * REST_DELAY, "{time:?}");
    let begun = Instant::now();
    client.watch.rest().await;
    assert_eq!((begun.elapsed() + time).as_secs(), 30, "it rests until its next request is due");
    assert_eq!(client.next_event().await, (Event::Close(CloseReason::Idle), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_http1_connection_rests_soon_after_a_request_that_was_there_at_once() {
    let client = client("").await;
    client.watch.follow(&flow());
    let busy = client.watch.begin();
    let answer = async {
        tokio::time::sleep(REST_DELAY / 2).await;
        drop(busy);
    };
    let ((event, time), ()) = tokio::join!(client.next_event(), answer);
    assert_eq!(event, Event::Rest);
    assert!(time <= 3 * REST_DELAY, "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_soon_even_if_its_first_answer_is_acknowledged_late() {
    let client = client("").await;
    let watch = client.watch.clone();
    let begun = Instant::now();
    // The answer begins after the first check has been scheduled, and is read after that check.
    let answer = async {
        sleep_until(begun + REST_DELAY / 2).await;
        watch.follow(&flow());
        let busy = watch.begin();
        client.fill().await;
        drop(busy);
        sleep_until(begun + 2 * REST_DELAY).await;
        let mut buffer = vec![0; 1 << 20];
        while watch.meter.is_sending() {
            _ = client.socket.try_read(&mut buffer);
            if watch.meter.is_blocked() {
                poll_fn(|cx| Poll::Ready(watch.meter.poll_write(cx, &[0]).is_ready())).await;
            }
            yield_now().await;
        }
    };
    let (event, ()) = tokio::join!(watch.next_event(), answer);
    assert_eq!(event, Event::Rest);
    assert!(begun.elapsed() < IDLE_CHECK, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_is_idle_after_the_time_for_the_next_request() {
    let client = client("header_timeout = '30s'").await;
    drop(client.watch.begin());
    assert_eq!(client.next_event().await, (Event::Close(CloseReason::Idle), 30 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_has_stalled_after_the_idle_timeout() {
    let client = client("idle_timeout = '40s'\nmin_rate = '0B/s'").await;
    let flow = flow();
    client.watch.follow(&flow);
    let _busy = client.watch.begin();
    flow.delivered(1);
    client.fill().await;
    let (event, time) = client.next_event().await;
    assert_eq!(event, Event::Close(CloseReason::Stalled));
    assert!((40 * SECOND..40 * SECOND + SLACK).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_not_slow_while_the_registry_is_waited_for() {
    let client = client("idle_timeout = '40s'").await;
    let flow = flow();
    client.watch.follow(&flow);
    let _busy = client.watch.begin();
    flow.delivered(1);
    flow.asked_for_more();
    assert!(timeout(400 * SECOND, client.watch.next_event()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_left_is_noticed_at_the_next_check() {
    let Client { watch, socket } = client("idle_timeout = '40s'").await;
    let _busy = watch.begin();
    drop(socket);
    let begun = Instant::now();
    assert_eq!(watch.next_event().await, Event::Close(CloseReason::Gone));
    assert!(begun.elapsed() <= TRANSFER_CHECK, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_has_stalled_after_the_idle_timeout() {
    let client = client("idle_timeout = '40s'\nmin_rate = '0B/s'").await;
    let flow = flow();
    let begun = Instant::now();
    let reading = async {
        for _ in 0..5 {
            flow.delivered(1);
            tokio::time::sleep(30 * SECOND).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        () = client.watch.stalled(&flow) => {}
        () = reading => {}
    }
    let time = begun.elapsed();
    assert!((160 * SECOND..160 * SECOND + SLACK).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_for_others_takes_a_blocked_connection_with_it() {
    for blocked in [false, true] {
        let client = client("").await;
        let (_busy, flow) = (client.watch.begin(), flow());
        if blocked {
            client.fill().await;
        }
        flow.delivered(1);
        flow.may_be_ended();
        advance(3 * SECOND).await;
        flow.end_slowest(1, |_| true);
        timeout(2 * SECOND, client.watch.stalled(&flow)).await.expect("the stream ends");
        let event = timeout(2 * SECOND, client.watch.next_event()).await.ok();
        assert_eq!(event, blocked.then_some(Event::Close(CloseReason::Stalled)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_is_due_a_while_after_the_last_answer() {
    let client = client("header_timeout = '30s'").await;
    let busy = client.watch.begin();
    advance(100 * SECOND).await;
    drop(busy);
    assert_eq!(client.watch.deadline.get() - Instant::now(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_http1_connection_rests_soon_after_its_first_answer() {
    let client = client("").await;
    let mut watching = pin!(client.watch.next_event());
    let begun = Instant::now();
    assert!(timeout(REST_DELAY / 2, watching.as_mut()).await.is_err());
    client.watch.follow(&flow());
    let busy = client.watch.begin();
    assert!(timeout(REST_DELAY / 4, watching.as_mut()).await.is_err());
    drop(busy);
    assert_eq!(watching.await, Event::Rest);
    assert!(begun.elapsed() <= 2 * REST_DELAY, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn streams_hear_of_each_check_even_if_their_connection_was_idle() {
    let client = client("").await;
    let mut watching = pin!(client.watch.next_event());
    assert!(timeout(3 * TRANSFER_CHECK, watching.as_mut()).await.is_err());
    let begun = Instant::now();
    let _busy = client.watch.begin();
    tokio::select! {
        () = client.watch.checked() => assert_eq!(begun.elapsed(), TRANSFER_CHECK),
        event = watching => panic!("{event:?}"),
    }
}
