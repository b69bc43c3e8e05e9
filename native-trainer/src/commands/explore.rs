//! `boomerang explore`: the page with a family's bundle, served from this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boomerang_core::bundle::{MANIFEST, Manifest};

use crate::exit::Exit;
use crate::progress::{note, print};
use crate::serve::Server;

/// Serve the explorer with a bundle from this machine
#[derive(Clone, Debug, clap::Args)]
pub struct ExploreArgs {
    /// Bundle of a family, or a folder such as `boomerang demo` writes, with one in bundle/
    #[arg(value_name = "DIR")]
    pub bundle: PathBuf,
    /// Folder of the built page [default: dist in the current folder, else share/boomerang/site
    /// next to the program's folder]
    #[arg(long, value_name = "DIR")]
    pub site: Option<PathBuf>,
    /// Port; 0 selects a free one
    #[arg(long, value_name = "N", default_value_t = 8642)]
    pub port: u16,
    /// Serve other machines on this network, too
    #[arg(long)]
    pub lan: bool,
    /// Open the page in the browser
    #[arg(long)]
    pub open: bool,
}

/// Serves until Ctrl-C.
///
/// # Errors
/// When the bundle or the page does not exist, or the port is in use.
pub fn run(args: &ExploreArgs) -> anyhow::Result<()> {
    let site = args.site.clone().map_or_else(find_site, Ok)?;
    let bundle = find_bundle(&args.bundle);
    check_manifest(&bundle)?;
    let server = Server::start(&site, &bundle, address(args))?;
    print(&format!("Serving {} at", bundle.display()));
    print(&format!("  {}", server.url()));
    if args.lan {
        for ip in lan_addresses() {
            print(&format!(
                "  http://{}/ (this network)",
                SocketAddr::new(ip, server.address().port())
            ));
        }
        if let Some(&ip) = lan_addresses().first() {
            let address = format!("http://{}/", SocketAddr::new(ip, server.address().port()));
            if let Some(code) = qr_code(&address) {
                print(&code);
            }
        }
        print(
            "Other machines compute on their CPU: browsers allow WebGPU only on https and localhost.",
        );
    }
    print("Press Ctrl-C to stop.");
    if args.open {
        open_browser(&server.url());
    }
    server.wait_for_interrupt()
}

fn address(args: &ExploreArgs) -> SocketAddr {
    let ip = if args.lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    SocketAddr::new(ip.into(), args.port)
}

/// The folder itself unless it is not a bundle and has one inside.
fn find_bundle(folder: &Path) -> PathBuf {
    let inner = folder.join("bundle");
    let is_bundle = |folder: &Path| folder.join(MANIFEST).is_file();
    if !is_bundle(folder) && is_bundle(&inner) { inner } else { folder.to_owned() }
}

/// Refuses a bundle that the page cannot open; one that is missing is refused by the server.
fn check_manifest(bundle: &Path) -> anyhow::Result<()> {
    let path = bundle.join(MANIFEST);
    let Ok(manifest) = std::fs::read_to_string(&path) else { return Ok(()) };
    match Manifest::from_json(&manifest) {
        Ok(_) => Ok(()),
        Err(error) => {
            let remedy = error.remedy();
            let error = anyhow::Error::new(error).context(path.display().to_string());
            Err(Exit::Unusable.error(format!("{error:#}. {remedy}")))
        }
    }
}

/// The address for a phone's camera, in half blocks of a terminal; `None` when it is too long.
fn qr_code(address: &str) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;
    let code = qrcode::QrCode::new(address).ok()?;
    // Most terminals print light on dark, and cameras need the code dark on light.
    let mut drawing = code.render::<Dense1x2>();
    Some(drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

fn find_site() -> anyhow::Result<PathBuf> {
    let installed = std::env::current_exe().ok().and_then(|program| {
        Some(program.parent()?.parent()?.join("share").join("boomerang").join("site"))
    });
    let folders = [Some(PathBuf::from("dist")), installed];
    let is_site = |folder: &PathBuf| folder.join("index.html").is_file();
    folders.into_iter().flatten().find(is_site).ok_or_else(|| {
        Exit::Usage.error(
            "the page is not built: dist/index.html does not exist in the current folder; build it \
             with `cargo xtask page`, or give its folder with --site",
        )
    })
}

/// Addresses of this machine in private networks.
fn lan_addresses() -> BTreeSet<IpAddr> {
    // Connecting a datagram socket sends nothing: it only looks up the route of a packet.
    let source_towards = |target: Ipv4Addr| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((target, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [[10, 254, 254, 253], [172, 30, 254, 253], [192, 168, 254, 253]]
        .into_iter()
        .filter_map(|target| source_towards(target.into()))
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
        .collect()
}

fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        note(&format!("cannot open a browser ({program}: {error}); open the address above"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ExploreArgs {
        ExploreArgs {
            bundle: PathBuf::from("bundle"),
            site: None,
            port: 8642,
            lan: false,
            open: false,
        }
    }

    #[test]
    fn a_folder_with_a_bundle_inside_is_as_good_as_the_bundle() {
        let run = tempfile::tempdir().unwrap();
        let bundle = run.path().join("bundle");
        std::fs::create_dir(&bundle).unwrap();
        assert_eq!(find_bundle(run.path()), run.path());
        std::fs::write(bundle.join(MANIFEST), "{}").unwrap();
        assert_eq!(find_bundle(run.path()), bundle);
        assert_eq!(find_bundle(&bundle), bundle);
    }

    #[test]
    fn a_bundle_of_another_version_is_refused_with_both_versions() {
        let bundle = tempfile::tempdir().unwrap();
        for (version, remedy) in [(0, "Create the bundle again"), (3, "from a newer version")] {
            let manifest = format!("{{\"format\": \"boomerang-bundle\", \"version\": {version}}}");
            std::fs::write(bundle.path().join(MANIFEST), manifest).unwrap();
            let refusal = format!("{:#}", check_manifest(bundle.path()).unwrap_err());
            for part in [MANIFEST, &format!("version {version}"), "version 1 to 2", remedy] {
                assert!(refusal.contains(part), "{refusal}");
            }
        }
    }

    #[test]
    fn only_this_machine_is_served_by_default() {
        assert!(address(&args()).ip().is_loopback());
    }

    #[test]
    fn the_network_is_served_when_asked() {
        assert_eq!(address(&ExploreArgs { lan: true, ..args() }).to_string(), "0.0.0.0:8642");
    }

    #[test]
    fn addresses_for_others_are_not_this_machines_own() {
        assert!(lan_addresses().iter().all(|ip| !ip.is_loopback()));
    }
}
