use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// The answer to a client that offers `protocols` and asks for `name`.
async fn handshake_of(
    challenges: &Challenges,
    name: &'static str,
    protocols: &[&[u8]],
) -> Option<Arc<ServerConfig>> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
    let (mut hello, mut acceptor) = (Vec::new(), Acceptor::default());
    client.write_tls(&mut hello).unwrap();
    acceptor.read_tls(&mut hello.as_slice()).unwrap();
    let place = Challenges::asked(&acceptor.accept().unwrap().unwrap().client_hello())?;
    challenges.handshake(&place).await
}

#[tokio::test]
async fn a_handshake_is_given_for_the_name_on_offer_and_for_the_one_protocol() {
    let challenges = Arc::new(Challenges::default());
    let offer = challenges.offer_handshake("a.test", &[7; 32]).unwrap();
    assert_eq!(handshake_of(&challenges, "a.test", &[PROTOCOL]).await.unwrap().alpn_protocols, [PROTOCOL]);
    assert!(handshake_of(&challenges, "A.Test", &[PROTOCOL]).await.is_some());
    assert!(handshake_of(&challenges, "b.test", &[PROTOCOL]).await.is_none());
    assert!(handshake_of(&challenges, "a.test", &[]).await.is_none());
    assert!(handshake_of(&challenges, "a.test", &[b"h2"]).await.is_none());
    assert!(handshake_of(&challenges, "a.test", &[PROTOCOL, b"h2"]).await.is_none());
    drop(offer);
    assert!(handshake_of(&challenges, "a.test", &[PROTOCOL]).await.is_none());
}

#[tokio::test]
async fn the_handshake_for_an_address_asks_for_its_name_in_the_reverse_zone() {
    let challenges = Arc::new(Challenges::default());
    let four = challenges.offer_handshake("192.0.2.17", &[7; 32]).unwrap();
    let six = challenges.offer_handshake("2001:db8::567:89ab", &[7; 32]).unwrap();
    let nibbles = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    for name in ["17.2.0.192.in-addr.arpa", nibbles] {
        assert!(handshake_of(&challenges, name, &[PROTOCOL]).await.is_some(), "{name}");
    }
    drop((four, six));
    assert!(handshake_of(&challenges, nibbles, &[PROTOCOL]).await.is_none());
}

#[tokio::test]
async fn a_text_is_given_under_its_token_while_it_is_on_offer() {
    let challenges = Arc::new(Challenges::default());
    let _handshake = challenges.offer_handshake("a.test", &[7; 32]).unwrap();
    let offer = challenges.offer_text("token", "token.print");
    assert_eq!(challenges.text("token").await.as_deref(), Some("token.print"));
    assert_eq!(challenges.text("a.test").await, None);
    drop(offer);
    assert_eq!(challenges.text("token").await, None);
}

#[test]
fn what_is_no_digest_is_refused() {
    assert!(Arc::new(Challenges::default()).offer_handshake("a.test", &[7; 31]).is_err());
}
