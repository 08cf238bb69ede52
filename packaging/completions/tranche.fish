# SPDX-License-Identifier: Apache-2.0
# fish completion of tranche; the command itself knows what may follow.
function __tranche_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :dirs
                __fish_complete_directories "$current"
            case :command
                set -l at (contains -i -- -- $words)
                __fish_complete_subcommand --fcs-skip=$at
            case '*'
                echo $line
        end
    end
end
complete -c tranche -f -a '(__tranche_complete)'
