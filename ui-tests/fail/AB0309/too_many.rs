use abide::prelude::*;

#[workflow]
async fn order(
    #[cfg(target_os = "linux")] a: u32,
    #[cfg(target_os = "windows")] b: u32,
    #[cfg(target_os = "macos")] c: u32,
    #[cfg(target_arch = "x86_64")] d: u32,
    #[cfg(target_arch = "aarch64")] e: u32,
    #[cfg(target_pointer_width = "16")] f: u32,
) {
    #[cfg(unix)]
    let _ = 1;
}

fn main() {}
