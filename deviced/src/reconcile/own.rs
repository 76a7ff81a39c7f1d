//! Which container deviced itself runs in, so that it never stops or removes that. Pure.

use crate::engine::ContainerId;

/// Finds the engine's id of this process's container in `/proc/self/mountinfo` (proc(5)): engines mount a container's `/etc/hostname`,
/// `/etc/hosts` and `/etc/resolv.conf` from a directory that is called by its id. `None` outside of containers.
pub(super) fn find(mountinfo: &str) -> Option<ContainerId> {
    let roots = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, mounted_at) = (fields.next()?, fields.next()?);
        matches!(mounted_at, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf").then_some(root)
    });
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut ids = roots.filter_map(|root| root.split('/').find(is_id));
    ids.next().map(|id| ContainerId(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_mount_files_from_a_directory_called_by_the_id() {
        let id = "a".repeat(64);
        let docker = format!(
            "600 590 0:50 / / rw,relatime - overlay overlay rw\n\
             611 600 254:0 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw\n\
             612 600 254:0 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        let podman = format!(
            "700 690 0:23 /containers/storage/overlay-containers/{id}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n"
        );
        let volume = format!("1 2 254:0 /var/lib/docker/containers/{id}/x /data rw - ext4 /dev/vda rw\n");
        for (mountinfo, expected) in [
            (docker.as_str(), Some(id.as_str())),
            (podman.as_str(), Some(id.as_str())),
            (volume.as_str(), None),
            ("22 1 254:0 / / rw - ext4 /dev/vda rw\n", None),
            ("torn", None),
            ("", None),
        ] {
            assert_eq!(find(mountinfo).map(|found| found.0).as_deref(), expected, "{mountinfo}");
        }
    }
}
