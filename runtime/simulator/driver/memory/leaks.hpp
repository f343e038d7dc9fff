#pragma once

namespace kerncast::simulator::api {

/// Has the process print what it never freed when it exits: asked for by KERNCAST_SIM_LEAKS=1.
void report_leaks_at_exit();

}  // namespace kerncast::simulator::api
