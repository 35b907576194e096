//! Random requests: valid ones, most of them slightly damaged.

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub const REPOSITORIES: [&str; 16] = [
    "public/app",
    "public/base",
    "public/tags/list",
    "team/app",
    "team/base",
    "team/manifests",
    "team/blobs/uploads",
    "alice/app",
    "alice",
    "bob/a.b__c--d",
    "secret/app",
    "manifests",
    "referrers",
    "_catalog",
    "Team/app",
    "team:5000/app",
];

pub struct Request {
    pub method: &'static str,
    pub target: String,
}

/// Pseudo-random numbers that are the same in every run: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

pub fn request(dice: &mut Dice) -> Request {
    let repository = dice.pick(&REPOSITORIES);
    let (methods, rest): (&[&str], String) = match dice.below(12) {
        0 => (&["GET", "HEAD", "PUT", "DELETE"], format!("{repository}/manifests/latest")),
        1 => (&["GET", "HEAD", "PUT", "DELETE"], format!("{repository}/manifests/{DIGEST}")),
        2 | 3 => (&["GET", "HEAD", "DELETE"], format!("{repository}/blobs/{DIGEST}")),
        4 => (&["GET"], format!("{repository}/tags/list")),
        5 => (&["GET"], format!("{repository}/referrers/{DIGEST}")),
        6..9 => (&["POST"], format!("{repository}/blobs/uploads/")),
        9 | 10 => {
            (&["PATCH", "PUT", "GET", "HEAD", "DELETE"], format!("{repository}/blobs/uploads/0f4b-8f_8e.1~="))
        }
        _ => (&["GET"], dice.pick(&["", "_catalog"]).to_owned()),
    };
    let method = match dice.below(10) {
        0 => dice.pick(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        _ => dice.pick(methods),
    };
    let mut target = format!("/v2/{rest}");
    for _ in 0..dice.pick(&[0, 0, 0, 0, 1, 1, 1, 2, 3]) {
        target = spoil(dice, target);
    }
    if dice.below(3) == 0 || (method == "POST" && dice.below(3) > 0) {
        target.push('?');
        target.push_str(&query(dice));
    }
    Request { method, target }
}

/// Changes the request in one place, or spells it differently.
fn spoil(dice: &mut Dice, path: String) -> String {
    let at = dice.below(path.len());
    let (before, after) = path.split_at(at);
    let (letter, rest) = after.split_at(1);
    let byte = letter.as_bytes()[0];
    let slash = after.find('/').map_or(path.len(), |slash| at + slash);
    let (head, tail) = path.split_at(slash);
    match dice.below(16) {
        0..=2 => format!("{before}%{byte:02X}{rest}"),
        3..=5 => format!("{before}%{byte:02x}{rest}"),
        6 => format!("{before}%25{byte:02x}{rest}"),
        7 => format!(
            "{before}{}{rest}",
            if byte.is_ascii_lowercase() { letter.to_uppercase() } else { letter.to_lowercase() }
        ),
        8 => format!("{before}{rest}"),
        9 => format!(
            "{before}{}{after}",
            dice.pick(&["a", "A", "0", "-", "_", "=", "~", ":", "+", ",", ";", "!", "@", "(", "$"])
        ),
        10 => format!(
            "{before}{}{after}",
            dice.pick(&["%20", "%c3%a4", "%ff", "%3b", "%3f", "%23", "%26", "%2B", "%40"])
        ),
        11 => format!(
            "{head}{tail}{}",
            dice.pick(&[
                "/",
                "/list",
                "/manifests/x",
                "/tags/list",
                ".",
                "%20",
                "/blobs/uploads/",
                "/_catalog"
            ])
        ),
        12 => format!(
            "{head}{}{tail}",
            dice.pick(&["/a", "/A", "/manifests", "/blobs", "/tags", "/uploads", "/v2", "-", "..", "__"])
        ),
        13 => format!("{head}{head}{tail}"),
        14 => format!("{head}{}", tail.split_once('/').map_or(tail, |(_, tail)| tail)),
        // These end the connection.
        _ if dice.below(3) > 0 => path,
        _ => format!(
            "{head}{}{tail}",
            dice.pick(&["/", "/.", "/..", "/%2e%2e", "/%2E", "%2f", "%5c", "%00", "%0a", "%zz"])
        ),
    }
}

fn query(dice: &mut Dice) -> String {
    let mut parameters = Vec::new();
    for _ in 0..dice.pick(&[0, 1, 2, 2, 2, 3, 4]) {
        let key = dice.pick(&[
            "mount", "mount", "mount", "mount", "from", "from", "from", "from", "%66rom", "fro%6D",
            "mo%75nt", "From", "from+", "+from", "%2566rom", "digest", "x", "_state", "",
        ]);
        let repository = dice.pick(&REPOSITORIES);
        let value = match dice.below(12) {
            0..=3 => DIGEST.to_owned(),
            4 => DIGEST.replace(':', "%3A"),
            5..=7 => repository.to_owned(),
            8 => repository.replace('/', "%2f"),
            9 => repository.replace('/', "%252f"),
            10 => {
                format!("{repository}{}", dice.pick(&["/", "+", "%20", "%00", "@x", ":x", "/../app", "%ff"]))
            }
            _ => dice.pick(&["", "a", "sha256:00", "a=b", "10", "%3b"]).to_owned(),
        };
        parameters.push(match dice.below(20) {
            0 => key.to_owned(),
            _ => format!("{key}={value}"),
        });
    }
    parameters.join(if dice.below(20) == 0 { ";" } else { "&" })
}
