//! The cost of every request and every TLS record: `cargo bench --bench hot_paths`. Under `cargo
//! test`, each bench runs once.

#![allow(clippy::unwrap_used, reason = "a bench panics when its setup fails")]

use std::future::Future;
use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use criterion::{BatchSize, Criterion, Throughput};
use http::Method;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::crypto::cipher::{AeadKey, Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use tidegate::Allocator;
use tidegate::bench::{
    CONTENT, Caller, Config, Htpasswd, Identity, OVERHEAD, Operation, RecordKey, Rights, Rules, Scope,
    Secret, Tokens, User, Verdict, Verifier, decide, forwarded, hop, target,
};

/// The same allocator as the program.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    path_to_target(&mut criterion);
    password_cache_hit(&mut criterion);
    access_decision(&mut criterion);
    tokens(&mut criterion);
    header_rewriting(&mut criterion);
    record_sealing(&mut criterion);
    criterion.final_summary();
}

fn path_to_target(criterion: &mut Criterion) {
    let digest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";
    let mut group = criterion.benchmark_group("path to target");
    for (name, path, operation) in [
        ("ping", "/v2/".to_owned(), Operation::Ping),
        ("manifest", "/v2/team/project/app/manifests/v1.2.3".to_owned(), Operation::ManifestGet),
        ("blob", format!("/v2/team/project/app/blobs/{digest}"), Operation::BlobGet),
    ] {
        assert_eq!(target::parse(&Method::GET, &path).operation, operation);
        group.bench_function(name, |bencher| {
            bencher.iter(|| target::parse(&Method::GET, black_box(&path)).operation);
        });
    }
}

fn password_cache_hit(criterion: &mut Criterion) {
    let text = "[tls]\ncertificate = 'a'\nkey = 'b'\n";
    let settings = Config::parse(Path::new("proxy.toml"), text, &[]).unwrap().auth;
    let verifier = Verifier::new(&settings).unwrap();
    let line = format!("alice:{}", bcrypt::hash("secret", 4).unwrap());
    let users = Htpasswd::parse(line.as_bytes(), false).unwrap();
    let password = Secret::new(*b"secret");
    let from = IpAddr::from([192, 0, 2, 1]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verdict = runtime.block_on(verifier.verify(&users, from, b"alice", &password));
    assert!(matches!(verdict, Verdict::Right { .. }));
    criterion.bench_function("password cache hit", |bencher| {
        // A cached password is answered at the first poll.
        let mut context = Context::from_waker(Waker::noop());
        bencher.iter(|| {
            let verdict = pin!(verifier.verify(&users, from, b"alice", black_box(&password)));
            assert!(matches!(verdict.poll(&mut context), Poll::Ready(Verdict::Right { .. })));
        });
    });
}

/// Twenty rules, all evaluated: the rights that they grant add up.
fn access_decision(criterion: &mut Criterion) {
    let mut text = "[tls]\ncertificate = 'a'\nkey = 'b'\n".to_owned();
    for number in 0..5 {
        for pattern in [
            format!("team-{number}/**"),
            format!("org/{number}-*/*"),
            "${user}/**".to_owned(),
            format!("**/base-{number}"),
        ] {
            let rule =
                format!("[[access]]\nusers = ['*']\nrepositories = ['{pattern}']\nactions = ['pull']\n");
            text.push_str(&rule);
        }
    }
    let rules = Rules::new(&Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap());
    let caller = Caller { identity: Identity::from(User::local("alice").unwrap()), token: None };
    let target = target::parse(&Method::GET, "/v2/team-4/project/app/manifests/v1.2.3");
    criterion.bench_function("access decision", |bencher| {
        bencher.iter_batched(
            || caller.clone(),
            |caller| decide(&rules, caller, black_box(&target)).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

fn tokens(criterion: &mut Criterion) {
    let text = "[tls]\ncertificate = 'a'\nkey = 'b'\n";
    let settings = Config::parse(Path::new("proxy.toml"), text, &[]).unwrap().token;
    let tokens = Tokens::build(&settings, None).unwrap();
    let (scopes, now) = ([Scope::repository("team/project/app", Rights::PULL)], SystemTime::now());
    let give = || {
        tokens
            .issue(&Identity::from(User::local("alice").unwrap()), "registry.example.com", &scopes, now)
            .unwrap()
            .token
    };
    let mut group = criterion.benchmark_group("token");
    group.bench_function("given", |bencher| bencher.iter(give));
    group.bench_function("taken the first time", |bencher| {
        let take = |token| tokens.verify(&token, "registry.example.com", now).unwrap();
        bencher.iter_batched(give, take, BatchSize::SmallInput);
    });
    let token = give();
    group.bench_function("taken again", |bencher| {
        bencher.iter(|| tokens.verify(black_box(&token), "registry.example.com", now).unwrap());
    });
}

/// The fields of docker's manifest GET through a load balancer.
fn header_rewriting(criterion: &mut Criterion) {
    let headers: HeaderMap = [
        ("host", "registry.example.com"),
        ("user-agent", "docker/29.1.3 go/go1.25.5 kernel/6.12.0 os/linux arch/amd64"),
        ("authorization", "Basic dGVzdHVzZXI6dGVzdHBhc3M="),
        ("accept", "application/vnd.docker.distribution.manifest.v2+json"),
        ("accept", "application/vnd.docker.distribution.manifest.list.v2+json"),
        ("accept", "application/vnd.oci.image.manifest.v1+json"),
        ("accept", "application/vnd.oci.image.index.v1+json"),
        ("accept-encoding", "gzip"),
        ("connection", "close, x-session"),
        ("x-session", "4711"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
    ]
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .into_iter()
    .collect();
    let authority = headers[HOST].clone();
    let (peer, trusted) = ("10.0.0.5".parse().unwrap(), ["10.0.0.0/8".parse().unwrap()]);
    criterion.bench_function("header rewriting", |bencher| {
        bencher.iter_batched_ref(
            || headers.clone(),
            |headers| {
                let client = forwarded::client(headers, peer, &trusted);
                hop::strip(headers);
                forwarded::rewrite(headers, &client, &authority);
            },
            BatchSize::SmallInput,
        );
    });
}

/// The records of one batch of a pull: ours in one buffer, those of rustls each in its own.
/// AES-256, because rustls lets only a handshake make a 16-byte key.
fn record_sealing(criterion: &mut Criterion) {
    const BATCH: usize = 256 << 10;
    let plain = vec![7; BATCH];
    let mut group = criterion.benchmark_group("record sealing");
    group.throughput(Throughput::Bytes(BATCH as u64));
    let (key, iv) = (AeadKey::from([1; 32]), Iv::from([2; 12]));
    let mut ours = RecordKey::new((0, ConnectionTrafficSecrets::Aes256Gcm { key, iv })).unwrap();
    let mut batch = vec![0; BATCH / CONTENT * (CONTENT + OVERHEAD)];
    group.bench_function("tidegate", |bencher| {
        bencher.iter(|| {
            for (content, record) in plain.chunks(CONTENT).zip(batch.chunks_mut(CONTENT + OVERHEAD)) {
                ours.seal(ContentType::ApplicationData, black_box(content), record).unwrap();
            }
        });
    });
    let mut rustls = encrypter(TLS13_AES_256_GCM_SHA384);
    let mut sequence = 0;
    group.bench_function("rustls", |bencher| {
        bencher.iter(|| {
            let records = plain.chunks(CONTENT).map(|content| {
                let message = OutboundPlainMessage {
                    typ: ContentType::ApplicationData,
                    version: ProtocolVersion::TLSv1_3,
                    payload: OutboundChunks::Single(black_box(content)),
                };
                sequence += 1;
                rustls.encrypt(message, sequence - 1).unwrap().encode()
            });
            records.collect::<Vec<_>>()
        });
    });
}

fn encrypter(suite: SupportedCipherSuite) -> Box<dyn MessageEncrypter> {
    match suite {
        SupportedCipherSuite::Tls13(suite) => {
            suite.aead_alg.encrypter(AeadKey::from([1; 32]), Iv::from([2; 12]))
        }
        SupportedCipherSuite::Tls12(_) => unreachable!("the suite is one of TLS 1.3"),
    }
}
