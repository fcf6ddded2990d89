//! `relay-client verify`: a saved request is judged offline, and what is told of it mends the usual mistakes.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_tests::folder::Folder;
use relay_tests::process::{Ended, Program, run};
use serde_json::Value;

fn vectors(provider: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/trust/vectors");
    folder.join(format!("{provider}.json"))
}

/// A request that a provider has signed, saved in files.
struct Desk {
    folder: Folder,
    vector: Value,
    body: Vec<u8>,
}

impl Desk {
    fn with(provider: &str, name: &str) -> Self {
        let text = std::fs::read_to_string(vectors(provider)).unwrap();
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        let vector = all.into_iter().find(|vector| vector["name"] == name).unwrap();
        let body = STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
        Self { folder: Folder::fresh(), vector, body }
    }

    fn text(&self, key: &str) -> &str {
        self.vector[key].as_str().unwrap()
    }

    /// The raw request with this body.
    fn request(&self, body: &[u8]) -> PathBuf {
        let (_, rest) = self.text("url").split_once("://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let mut text = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", self.text("method"));
        for field in self.vector["headers"].as_array().unwrap() {
            text += &format!("{}: {}\r\n", field[0].as_str().unwrap(), field[1].as_str().unwrap());
        }
        let path = self.folder.path().join("request.http");
        std::fs::write(&path, [text.as_bytes(), b"\r\n", body].concat()).unwrap();
        path
    }

    /// Verifies the request with this body and this secret, as of when it was received.
    async fn verify(&self, body: &[u8], secret: &str, more: &[&str]) -> Ended {
        let secret = self.folder.file("secret", &format!("{secret}\n"));
        let mut verify = Program::Client.command();
        verify.args(["verify", "--secret-file"]).arg(secret);
        if !more.contains(&"--provider") {
            verify.args(["--provider", self.text("provider")]);
        }
        if !more.contains(&"--at") {
            verify.args(["--at", &self.vector["now_unix"].to_string()]);
        }
        run(verify.args(more).arg(self.request(body))).await
    }

    /// What is told of the request with this body and this secret, which must fail.
    async fn failure(&self, body: &[u8], secret: &str, more: &[&str]) -> String {
        let ended = self.verify(body, secret, more).await;
        assert_eq!(ended.code, Some(1), "{} {}", ended.stdout, ended.stderr);
        assert!(
            !ended.stdout.contains(secret) && !ended.stderr.contains(secret),
            "a secret is told"
        );
        ended.stdout
    }
}

#[tokio::test]
async fn every_vector_is_judged_as_it_says() {
    let folder = std::fs::read_dir(vectors("stripe").parent().unwrap()).unwrap();
    let files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    let ended = run(Program::Client.command().args(["verify", "--vectors"]).args(&files)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 231, "{}", lines.len());
    for line in &lines {
        let verdict = line["verdict"].as_str().unwrap();
        assert!(line["name"].is_string(), "{line}");
        assert_eq!(line["reason"].is_string(), verdict == "failed", "{line}");
    }
}

#[tokio::test]
async fn a_vector_that_is_judged_otherwise_is_a_failure() {
    let folder = Folder::fresh();
    let text = std::fs::read_to_string(vectors("github")).unwrap();
    let wrong = folder.file("wrong.json", &text.replace("\"invalid\"", "\"valid\""));
    let verify = async |file: &Path| {
        run(Program::Client.command().args(["verify", "--vectors"]).arg(file)).await
    };
    assert_eq!(verify(&wrong).await.code, Some(1));
    assert_eq!(verify(&folder.file("none.json", "[{}]")).await.code, Some(2));
    assert_eq!(verify(Path::new("/nowhere")).await.code, Some(2));
}

#[tokio::test]
async fn a_saved_request_is_judged_as_of_when_it_was_received() {
    let desk = Desk::with("stripe", "stripe-p1");
    let secret = desk.text("secret");
    let good = desk.verify(&desk.body, secret, &[]).await;
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), "verified\n"), "{}", good.stderr);
    let told = desk.failure(&desk.body, secret, &["--at", "now"]).await;
    assert!(told.starts_with("failed: timestamp_too_old\n") && told.contains("--at"), "{told}");
    let json = desk.failure(&desk.body, "whsec_another", &["--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["verdict"].as_str(), json["reason"].as_str()),
        (Some("failed"), Some("wrong_secret"))
    );
}

#[tokio::test]
async fn the_usual_mistakes_are_found_out() {
    let desk = Desk::with("github", "github-p3");
    let secret = desk.text("secret");
    let spaced: Vec<u8> = desk
        .body
        .iter()
        .flat_map(|byte| if *byte == b':' { b": ".to_vec() } else { vec![*byte] })
        .collect();
    for (body, given, words) in [
        ([&desk.body[..], b"\n"].concat(), secret.to_owned(), "line break at its end"),
        (spaced, secret.to_owned(), "read and written again"),
        (desk.body.clone(), format!(" {secret}"), "white space"),
        (desk.body.clone(), format!("\"{secret}\""), "quotation marks"),
    ] {
        let told = desk.failure(&body, &given, &[]).await;
        assert!(told.starts_with("failed: ") && told.contains(words), "{words}: {told}");
    }
    let told = desk.failure(&desk.body, "not-the-one", &[]).await;
    assert!(told.starts_with("failed: wrong_secret\n") && !told.contains("JSON"), "{told}");
    let told = desk.failure(&desk.body, desk.text("secret"), &["--provider", "stripe"]).await;
    assert!(told.contains("With this secret, it is good for the provider "), "{told}");
}

#[tokio::test]
async fn where_the_url_is_signed_it_is_asked_for() {
    let desk = Desk::with("twilio", "twilio-p1");
    let (secret, url) = (desk.text("secret"), desk.text("url").to_owned());
    let good = desk.verify(&desk.body, secret, &["--public-url", &url]).await;
    assert_eq!(good.code, Some(0), "{} {}", good.stdout, good.stderr);
    let other = if url.starts_with("https") {
        url.replacen("https", "http", 1)
    } else {
        url.replacen("http", "https", 1)
    };
    let told = desk.failure(&desk.body, secret, &["--public-url", &other]).await;
    assert!(told.contains("It was signed for http"), "{told}");
    let told = desk.failure(&desk.body, "not-the-one", &[]).await;
    assert!(told.contains("--public-url"), "{told}");
    let elsewhere = "https://elsewhere.example/x";
    let told = desk.failure(&desk.body, secret, &["--public-url", elsewhere]).await;
    assert!(told.contains("failed: wrong_secret"), "{told}");
}

#[tokio::test]
async fn a_secret_of_another_form_is_told_with_the_one_that_is_wanted() {
    let desk = Desk::with("discord", "discord-p1");
    let told = desk.failure(&desk.body, "no-hex", &[]).await;
    assert!(told.contains("failed: malformed_secret"), "{told}");
    assert!(told.contains("a secret of discord is an Ed25519 public key of 32 bytes"), "{told}");
    let told = desk.failure(&desk.body, &"00".repeat(32), &[]).await;
    assert!(!told.contains("public key of 32 bytes"), "{told}");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_told() {
    let desk = Desk::with("github", "github-p3");
    let secret = desk.folder.file("s", desk.text("secret"));
    let (secret, request) = (secret.to_str().unwrap(), desk.request(&desk.body));
    let (empty, request) = (desk.folder.file("empty", ""), request.to_str().unwrap());
    let empty = empty.to_str().unwrap();
    for arguments in [
        vec!["--provider", "nobody", "--secret-file", secret, request],
        vec!["--provider", "github", "--secret-file", empty, request],
        vec!["--provider", "github", "--secret-file", "/nowhere", request],
        vec!["--provider", "github", "--secret-file", secret, empty],
        vec!["--provider", "github", "--param", "colour=red", "--secret-file", secret, request],
        vec!["--provider", "github", "--at", "yesterday", "--secret-file", secret, request],
        vec!["--provider", "github", "--profiles", secret, "--secret-file", secret, request],
        vec!["--provider", "github"],
    ] {
        let ended = run(Program::Client.command().arg("verify").args(&arguments)).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stdout);
        assert!(!ended.stderr.contains(desk.text("secret")), "a secret is told: {}", ended.stderr);
    }
}

#[tokio::test]
async fn profiles_of_ones_own_count_and_mistakes_in_them_are_told_with_their_line() {
    let desk = Desk::with("github", "github-p3");
    let text = "schema = 1\n[mine]\nverify = [ { kind = \"hmac\", digest = \"sha256\", key = \"utf8\", sig = { header = \"x-hub-signature-256\", format = \"plain\", prefix = \"sha256=\", enc = \"hex\" }, message = \"{body}\" } ]\n";
    let mine = desk.folder.file("mine.toml", text);
    let with = ["--provider", "mine", "--profiles", mine.to_str().unwrap()];
    let good = desk.verify(&desk.body, desk.text("secret"), &with).await;
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), "verified\n"), "{}", good.stderr);
    let told = desk.failure(b"other", desk.text("secret"), &with).await;
    assert!(told.contains("How mine signs is not confirmed"), "{told}");
    let wrong = desk.folder.file("wrong.toml", &text.replace("kind = \"hmac\"", "kind = \"hmak\""));
    let with = ["--provider", "mine", "--profiles", wrong.to_str().unwrap()];
    let told = desk.verify(&desk.body, desk.text("secret"), &with).await;
    assert_eq!(told.code, Some(2), "{}", told.stdout);
    assert!(told.stderr.contains("wrong.toml: line 3: "), "{}", told.stderr);
}
