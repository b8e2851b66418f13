"""Which files are worth a shell to whom may read or write them."""

from __future__ import annotations

import pytest

from netssh_mcp.guard.protected_paths import protected

READING = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/ssh/ssh_host_ed25519_key",
    "/root/.ssh/id_rsa",
    "/home/a/.ssh/id_ed25519",
    "/home/a/.ssh/deploy_key",
    "/srv/git/.ssh/id_ecdsa_sk",
    "/home/a/.gnupg",
    "/home/a/.gnupg/private-keys-v1.d/x.key",
    "/root/.netrc",
    "/root/.aws/credentials",
    "/proc/1/environ",
    "/proc/self/mem",
    "/proc/thread-self/environ",
    "/proc/12/root/etc/shadow",
    "/proc/12/fd/3",
    "/proc/12/task/12/environ",
    "/proc/kcore",
    "/dev/sda",
    "/dev/mem",
    "/dev/kmem",
    "/etc/sudoers",
    "/etc/sudoers.d/ops",
    "/etc/ssl/private/a.key",
]
WRITING = [
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/sudoers.d/ops",
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/shadow",
    "/etc/group",
    "/root/.ssh",
    "/home/a/.ssh/authorized_keys",
    "/home/a/.ssh/config",
    "/.ssh/authorized_keys",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf.d/x.conf",
    "/etc/crontab",
    "/etc/cron.d/x",
    "/etc/cron.daily/x",
    "/var/spool/cron/crontabs/root",
    "/etc/systemd/system/x.service",
    "/usr/lib/systemd/system/x.service",
    "/home/a/.config/systemd/user/x.service",
    "/proc/sys/kernel/core_pattern",
    "/sys/kernel/uevent_helper",
    "/dev/sda",
    "/boot/vmlinuz",
    "/boot",
    "/etc/ssh/sshd_config",
    "/etc/pam.d/sshd",
    "/etc/profile.d/x.sh",
    "/root/.bashrc",
    "/home/a/.profile",
    "/usr/bin/ls",
    "/bin/sh",
    "/usr/local/bin/x",
    "/usr/lib/x.so",
    "/etc/fstab",
]


@pytest.mark.parametrize("path", READING)
def test_reading_it_gives_away_what_only_root_or_its_owner_knows(path: str) -> None:
    assert protected(path, writing=False)


@pytest.mark.parametrize("path", WRITING)
def test_writing_it_makes_somebody_run_something(path: str) -> None:
    assert protected(path, writing=True)


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/hosts", "/etc/passwd", "/var/log/syslog", "/home/a/notes", "/etc/ssh/sshd_config", "/proc/meminfo"),
        *("/home/a/.ssh/id_rsa.pub", "/home/a/.ssh/known_hosts", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/shells"),
        *("/proc/1/status", "/home/a/id_rsa", "/srv/dev/x", "/etc/fstab"),
    ],
)
def test_ordinary_files_may_be_read_as_files_are(path: str) -> None:
    assert not protected(path, writing=False)


@pytest.mark.parametrize(
    "path",
    ["/etc/hosts", "/etc/nginx/nginx.conf", "/var/www/x", "/home/a/x", "/var/x", "/opt/app/bin/x", "/srv/boot/x"],
)
def test_ordinary_files_may_be_written_as_files_are(path: str) -> None:
    assert not protected(path, writing=True)
