-- Asks for the paths of a file in turn, and reports as the other script does.
dofile('bench/support/wrk-report.lua')

local paths = {}
local next = 0

init = function(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = wrk.format('GET', line) end
end

request = function()
  next = next % #paths + 1
  return paths[next]
end
