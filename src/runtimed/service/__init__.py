"""The daemon as a service of the user: systemd on Linux, launchd on macOS.

What is written for either is a value made by pure functions (`systemd_unit`, `launchd_plist`); how
their programs are asked is `systemctl` and `launchctl`; `installation` is all that others need.
"""
