# Copyright 2026 The hoi_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
Start hoi_node: `ros2 launch hoi_perception hoi.launch.py image:=/camera/image_raw`.

Include it several times with different namespaces for several robots or model bundles.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    GroupAction,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace, SetParameter
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

ARGUMENTS = (
    DeclareLaunchArgument(
        'namespace', default_value='hoi', description='Namespace of the node and its topics.'),
    DeclareLaunchArgument(
        'params_file',
        default_value=PathJoinSubstitution(
            [FindPackageShare('hoi_perception'), 'config', 'hoi.yaml']),
        description='YAML file with parameters of the node.'),
    DeclareLaunchArgument(
        'image', default_value='image',
        description="Camera topic, such as /camera/image_raw; '/compressed' is added by "
                    'image_transport:=compressed.'),
    DeclareLaunchArgument(
        'image_transport', default_value='raw', choices=['raw', 'compressed'],
        description='raw or compressed images.'),
    DeclareLaunchArgument(
        'bundle', default_value='',
        description='Directory of the model bundle; empty = the one that ships.'),
    DeclareLaunchArgument(
        'head', default_value='',
        description="Interaction head of the bundle; empty = the bundle's default."),
    DeclareLaunchArgument(
        'engine', default_value='auto', choices=['auto', 'eager', 'aoti', 'openvino', 'tensorrt'],
        description='What runs the networks; auto = the fastest that was built, else eager.'),
    DeclareLaunchArgument(
        'precision', default_value='auto', choices=['auto', 'fp32', 'bf16', 'fp16'],
        description='Arithmetic of the engines.'),
    DeclareLaunchArgument(
        'engine_build', default_value='false', choices=['true', 'false'],
        description='Build missing engines before the node runs, which takes minutes.'),
    DeclareLaunchArgument(
        'build_only', default_value='false', choices=['true', 'false'],
        description='Build the engines of the bundle and end, with exit code 1 if one fails.'),
    DeclareLaunchArgument(
        'overlay', default_value='true', choices=['true', 'false'],
        description='Draw results on the frame while someone listens to overlay.'),
    DeclareLaunchArgument(
        'use_sim_time', default_value='false', choices=['true', 'false'],
        description='Take time from /clock.'),
    DeclareLaunchArgument(
        'autostart', default_value='true', choices=['true', 'false'],
        description='Configure and activate at start; false for a lifecycle manager.'),
    DeclareLaunchArgument(
        'respawn', default_value='false', choices=['true', 'false'],
        description='Start the node again when it ends by itself, which it does when its device '
                    'is lost; false ends the launch with it.'),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='Least severity that is logged.'),
)


def _end_with(process, name):
    """Return what ends the launch with a process, with exit code 1 if that failed."""
    def ended(event, context):
        if event.returncode:  # an exception is what gives `ros2 launch` exit code 1
            raise RuntimeError(f'{name} ended with exit code {event.returncode}')
        return [EmitEvent(event=Shutdown(reason=f'{name} has ended'))]
    return OnProcessExit(target_action=process, on_exit=ended)


def _build(context):
    """Return the process of `hoi engine build`; the launch ends with it."""
    given = {name: LaunchConfiguration(name).perform(context)
             for name in ('bundle', 'head', 'engine', 'precision')}
    process = ExecuteProcess(output='screen', cmd=[
        ExecutableInPackage('hoi', 'hoi_perception'), 'engine', 'build',
        *([given['bundle']] if given['bundle'] else []),
        *(['--head', given['head']] if given['head'] else []),
        '--backend', given['engine'], '--precision', given['precision']])
    return [RegisterEventHandler(_end_with(process, 'hoi engine build')), process]


def generate_launch_description() -> LaunchDescription:
    """Return the node in its namespace; the launch ends when the node does."""
    def text(name):
        return ParameterValue(LaunchConfiguration(name), value_type=str)

    def switch(name):
        return ParameterValue(LaunchConfiguration(name), value_type=bool)
    node = Node(
        package='hoi_perception', executable='hoi_node', name='hoi_node', output='screen',
        parameters=[LaunchConfiguration('params_file'), {
            'bundle': text('bundle'), 'head': text('head'), 'overlay': switch('overlay'),
            'autostart': switch('autostart'), 'image_transport': text('image_transport'),
            'engine': text('engine'), 'precision': text('precision'),
            'engine_build': switch('engine_build')}],
        remappings=[('image', LaunchConfiguration('image'))],
        respawn=LaunchConfiguration('respawn'), respawn_delay=2.0,
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
    return LaunchDescription([
        *ARGUMENTS,
        OpaqueFunction(function=_build,
                       condition=IfCondition(LaunchConfiguration('build_only'))),
        GroupAction(condition=UnlessCondition(LaunchConfiguration('build_only')), actions=[
            PushRosNamespace(LaunchConfiguration('namespace')),
            SetParameter('use_sim_time', switch('use_sim_time')),
            node]),
        RegisterEventHandler(_end_with(node, 'hoi_node'),
                             condition=UnlessCondition(LaunchConfiguration('respawn')))])
