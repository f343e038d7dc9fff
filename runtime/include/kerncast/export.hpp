#pragma once

/// Marks what the shared library offers; everything else stays inside it.
#define KERNCAST_API __attribute__((visibility("default")))
