//! Logs in, pushes, mounts and pulls with the crate oci-client, for `tests/clients/table.py`.
//!
//! ```text
//! oci-client-cases CA USER PASSWORD login|pull IMAGE
//! oci-client-cases CA USER PASSWORD push IMAGE NUMBER
//! oci-client-cases CA USER PASSWORD mount IMAGE SOURCE
//! ```
//!
//! An empty USER is anonymous. NUMBER chooses what is pushed. The crate has no
//! login of its own: `login` asks for a layer of IMAGE.

use std::error::Error;

use oci_client::client::{
    Certificate, CertificateEncoding, Client, ClientConfig, Config, ImageLayer,
};
use oci_client::manifest::IMAGE_LAYER_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        let mut cause = error.source();
        while let Some(next) = cause {
            eprintln!("  {next}");
            cause = next.source();
        }
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ca, user, password, action, image, more @ ..] = arguments.as_slice() else {
        return Err("usage: CA USER PASSWORD ACTION IMAGE [NUMBER|SOURCE]".into());
    };
    let image: Reference = image.parse()?;
    let auth = if user.is_empty() {
        RegistryAuth::Anonymous
    } else {
        RegistryAuth::Basic(user.clone(), password.clone())
    };
    let client = Client::new(ClientConfig {
        extra_root_certificates: vec![Certificate {
            encoding: CertificateEncoding::Pem,
            data: std::fs::read(ca)?,
        }],
        ..ClientConfig::default()
    });
    let layer = |number: &str| {
        ImageLayer::oci_v1(format!("a layer of oci-client, {number}").into_bytes(), None)
    };
    match action.as_str() {
        "login" => {
            client.auth(&image, &auth, RegistryOperation::Pull).await?;
            let digest = layer("1").sha256_digest();
            client.blob_exists(&image, &digest).await?;
        }
        "push" => {
            let config = Config::oci_v1(b"{}".to_vec(), None);
            let layer = layer(more.first().ok_or("push needs a NUMBER")?);
            client.push(&image, &[layer], config, &auth, None).await?;
        }
        "mount" => {
            let source = more.first().ok_or("mount needs a SOURCE")?.parse()?;
            client
                .store_auth_if_needed(image.resolve_registry(), &auth)
                .await;
            client
                .mount_blob(&image, &source, &layer("1").sha256_digest())
                .await?;
        }
        "pull" => {
            let accepted = vec![IMAGE_LAYER_MEDIA_TYPE];
            client.pull(&image, &auth, accepted).await?;
        }
        other => return Err(format!("unknown action {other}").into()),
    }
    Ok(())
}
